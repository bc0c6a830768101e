#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "alerting/rule.h"
#include "base/file.h"
#include "base/result.h"

namespace tarsier::server {

/// Of one rule file; a larger one is a mistake.
inline constexpr std::size_t kRuleFileBytesMax = std::size_t{64} << 20;

struct RuleFileOptions {
  alerting::RuleSyntax syntax;
  bool ignore_unknown_fields = false;
};

/// Reads one rule file as Prometheus does, strictly. kInvalid with everything that is wrong, one
/// line each:
///   rules.yml: 7:15: group "g", rule 1, "Down": could not parse expression: 1:4: parse error: ...
/// An empty file has no groups.
Result<std::vector<alerting::RuleGroupDefinition>> parse_rule_file(std::string_view text,
                                                                   const std::string& path,
                                                                   const RuleFileOptions& options);

/// Every group of the files that the patterns mean, in their order. One error rejects them all.
Result<std::vector<alerting::RuleGroupDefinition>> read_rule_files(
    FileSystem& files, const std::vector<std::string>& patterns, const RuleFileOptions& options);

}  // namespace tarsier::server
