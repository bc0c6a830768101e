#pragma once

#include <string>
#include <vector>

#include "alerting/rule.h"
#include "alerting/slo.h"

namespace tarsier::alerting {

/// The rules of Prometheus that do, as well as rules can, what the objective does: for files of
/// Pyrra as Pyrra writes them, otherwise as Sloth does. `tarsier slo generate`.
std::vector<RuleGroupDefinition> generate_rules(const Slo& slo);
/// The same in Pyrra's words.
std::vector<RuleGroupDefinition> generate_pyrra_rules(const Slo& slo);
/// What rules cannot say of the objective, one sentence each.
std::vector<std::string> generated_differences(const Slo& slo);
/// The groups as a rule file.
std::string rule_file_text(const std::vector<RuleGroupDefinition>& groups);

}  // namespace tarsier::alerting
