#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alerting/rule_status.h"
#include "alerting/slo.h"

namespace tarsier::alerting {

/// A group of rules that does once more what an objective does.
struct SloDuplicate {
  std::string id;  ///< Of the objective.
  std::string warning;
};
/// Rules that were generated from the files of these objectives: they write the same series, or
/// page for the same errors. One for each objective and group.
std::vector<SloDuplicate> duplicates_of(const std::vector<std::shared_ptr<const Slo>>& slos,
                                        const std::vector<RuleGroupStatus>& groups);

}  // namespace tarsier::alerting
