#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier::server {

/// Where a command prints, so that tests can read it.
struct CommandOutput {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
  /// All of the standard input; nothing where a person would have to type it.
  std::function<std::optional<std::string>()> in = {};
};

/// Of a finding of the linter that is fatal by option: promtool's exit code.
inline constexpr int kRuleLintFatal = 3;

struct RuleCheckOptions {
  std::string lint = "duplicate-rules";  ///< Or "all", or "none".
  std::vector<std::string> features;     ///< As --enable-feature has them.
  bool lint_is_fatal = false;
  bool ignores_unknown_fields = false;
  bool legacy_names = false;
};
struct RuleFileVerdict {
  bool has_failed = false;
  bool has_findings = false;  ///< Fatal ones.
};
/// Reads files of rules and says of each what is wrong with it.
RuleFileVerdict check_rule_files(std::span<const std::string> paths,
                                 const RuleCheckOptions& options, const CommandOutput& output);

/// `check rules [--lint=duplicate-rules|all|none] [--lint-fatal] [--ignore-unknown-fields]
/// [FILE...]`; without a file, or with `-`, the standard input. 0: all are valid; 1: some is not;
/// 3: only a finding of the linter that is fatal by option.
int check_rules(std::span<const std::string> arguments, const CommandOutput& output);

/// `test rules [--run=REGEX]... [--diff] [--ignore-unknown-fields] [--junit=FILE] FILE...`
/// 0: all passed; 1: something failed or could not be read.
int test_rules(std::span<const std::string> arguments, const CommandOutput& output);

}  // namespace tarsier::server
