#include "server/cli_rules.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "alerting/rule_test.h"
#include "base/posix_file.h"
#include "base/regex.h"
#include "server/clock.h"
#include "server/junit_report.h"
#include "server/rule_file.h"
#include "server/rule_test_file.h"
#include "server/scratch_db.h"

namespace tarsier::server {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kLintFatal = 3;
constexpr int kUsage = 3;

struct Options {
  std::vector<std::string> files;
  std::vector<std::string> run;
  std::vector<std::string> features;
  std::string lint = "duplicate-rules";
  std::string junit;
  bool lint_fatal = false;
  bool ignore_unknown_fields = false;
  bool diff = false;
};

/// Nothing, and a message, for an option nobody knows.
std::optional<Options> read_options(std::span<const std::string> arguments,
                                    const CommandOutput& output) {
  Options out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      out.files.push_back(argument);
      continue;
    }
    const std::size_t equals = std::min(argument.find('='), argument.size());
    const std::string name = argument.substr(2, equals - 2);
    if (name == "lint-fatal") {
      out.lint_fatal = true;
    } else if (name == "ignore-unknown-fields") {
      out.ignore_unknown_fields = true;
    } else if (name == "diff") {
      out.diff = true;
    } else if (name == "debug" || name == "extended") {
      continue;  // More talk in promtool; here everything is said.
    } else if (name == "run" || name == "lint" || name == "junit" || name == "enable-feature") {
      std::string value;
      if (equals < argument.size()) {
        value = argument.substr(equals + 1);
      } else if (i + 1 < arguments.size()) {
        value = arguments[++i];
      }
      if (name == "run") out.run.push_back(value);
      if (name == "lint") out.lint = value;
      if (name == "junit") out.junit = value;
      if (name == "enable-feature") out.features.push_back(value);
    } else {
      output.err(fmt::format("error: unknown long flag '{}'\n", argument));
      return std::nullopt;
    }
  }
  return out;
}

bool has_feature(const Options& options, std::string_view wanted) {
  return std::any_of(options.features.begin(), options.features.end(), [&](const auto& list) {
    return ("," + list + ",").find(fmt::format(",{},", wanted)) != std::string::npos;
  });
}

query::EngineOptions engine_options(const Options& options) {
  return {.experimental_functions = has_feature(options, "promql-experimental-functions"),
          .extended_range_selectors = has_feature(options, "promql-extended-range-selectors"),
          .binary_fill_modifiers = has_feature(options, "promql-binop-fill-modifiers"),
          .delayed_name_removal = has_feature(options, "promql-delayed-name-removal")};
}

RuleFileOptions file_options(const Options& options) {
  const query::EngineOptions engine = engine_options(options);
  return {.syntax = {.expressions = {.experimental_functions = engine.experimental_functions,
                                     .extended_range_selectors = engine.extended_range_selectors,
                                     .fill_modifiers = engine.binary_fill_modifiers}},
          .ignore_unknown_fields = options.ignore_unknown_fields};
}

/// Rules of one file with the same name and labels; each told once.
std::vector<std::string> duplicates(const std::vector<alerting::RuleGroupDefinition>& groups) {
  std::map<std::string, int> counts;
  for (const alerting::RuleGroupDefinition& group : groups) {
    for (const alerting::RuleDefinition& rule : group.rules) {
      std::string text = fmt::format("Metric: {}\nLabel(s):\n", rule.name());
      for (const auto& [name, value] : rule.labels) text += fmt::format("\t{}: {}\n", name, value);
      ++counts[text];
    }
  }
  std::vector<std::string> out;
  for (const auto& [text, count] : counts) {
    if (count > 1) out.push_back(text);
  }
  return out;
}

class RuleTester final {
 public:
  RuleTester(const Options& options, std::optional<Regex> run, const CommandOutput& output)
      : options_(options), run_(std::move(run)), output_(output) {}

  RuleTestFileResult run_file(const std::string& path) {
    RuleTestFileResult result{.path = path, .tests = {}, .errors = {}};
    const Status status = try_file(path, result);
    if (!status.ok()) result.errors.push_back(status.message());
    return result;
  }

 private:
  Status try_file(const std::string& path, RuleTestFileResult& result) {
    const std::string text = TRY(read_file(*files_, path, kRuleFileBytesMax));
    const alerting::RuleTestFile file = TRY(parse_rule_test_file(text, path));
    const RuleFileOptions how = file_options(options_);
    std::vector<alerting::RuleGroup> groups;
    for (auto& definition : TRY(read_rule_files(*files_, file.rule_files, how))) {
      groups.push_back(TRY(alerting::compile_group(std::move(definition), how.syntax)));
    }
    for (const std::string& pattern : file.rule_files) {
      if (pattern.find('*') == std::string::npos && !files_->exists(pattern)) {
        output_.out(fmt::format("  WARNING: no file match pattern {}\n", pattern));
      }
    }
    groups = TRY(alerting::ordered_groups(std::move(groups), file.group_order));
    for (std::size_t i = 0; i < file.tests.size(); ++i) {
      if (run_ && !run_->full_match(file.tests[i].name)) continue;
      alerting::RuleTest test = file.tests[i];
      if (test.name.empty()) test.name = fmt::format("unnamed#{}", i);
      const std::unique_ptr<ScratchDb> scratch = TRY(ScratchDb::open(*files_, log_));
      result.tests.push_back({.name = test.name,
                              .failures = alerting::run_rule_test(
                                  file, test, groups,
                                  {.storage = scratch->db(),
                                   .make_appender = [&] { return scratch->db().appender(); },
                                   .engine = engine_options(options_),
                                   .shows_difference = options_.diff})});
    }
    return {};
  }

  const Options& options_;
  const std::optional<Regex> run_;
  const CommandOutput& output_;
  const std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  NullLogger log_;
};

}  // namespace

int check_rules(std::span<const std::string> arguments, const CommandOutput& output) {
  const std::optional<Options> options = read_options(arguments, output);
  if (!options) return kUsage;
  if (options->lint != "all" && options->lint != "duplicate-rules" && options->lint != "none") {
    output.err(fmt::format("error: unknown lint option {}\n", options->lint));
    return kUsage;
  }
  if (options->files.empty()) {
    output.err("usage: tarsier check rules FILE...\n");
    return kUsage;
  }
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  bool has_failed = false;
  bool has_findings = false;
  for (const std::string& path : options->files) {
    output.out(fmt::format("Checking {}\n", path));
    const Result<std::string> text = read_file(*files, path, kRuleFileBytesMax);
    const auto groups = text.ok()
                            ? parse_rule_file(*text, path, file_options(*options))
                            : Result<std::vector<alerting::RuleGroupDefinition>>(text.status());
    if (!groups.ok()) {
      output.err(fmt::format("  FAILED:\n{}\n", groups.status().message()));
      has_failed = true;
      continue;
    }
    std::size_t count = 0;
    for (const alerting::RuleGroupDefinition& group : *groups) count += group.rules.size();
    const std::vector<std::string> findings =
        options->lint == "none" ? std::vector<std::string>() : duplicates(*groups);
    if (!findings.empty()) {
      std::string told = fmt::format("{} duplicate rule(s) found.\n", findings.size());
      for (const std::string& finding : findings) told += finding;
      output.out(told + "Might cause inconsistency while recording expressions\n");
    }
    if (!findings.empty() && options->lint_fatal) {
      output.err(fmt::format("  FAILED:\n{}: lint error: duplicate rules\n", path));
      has_findings = true;
    } else {
      output.out(fmt::format("  SUCCESS: {} rules found\n", count));
    }
    output.out("\n");
  }
  if (has_failed) return kFailed;
  return has_findings ? kLintFatal : kOk;
}

int test_rules(std::span<const std::string> arguments, const CommandOutput& output) {
  const std::optional<Options> options = read_options(arguments, output);
  if (!options) return kUsage;
  if (options->files.empty()) {
    output.err("usage: tarsier test rules [--run=REGEX] [--diff] [--junit=FILE] FILE...\n");
    return kUsage;
  }
  std::optional<Regex> run;
  if (!options->run.empty()) {
    // Ours are anchored, promtool's are not.
    Result<Regex> compiled =
        Regex::compile(fmt::format(".*(?:{}).*", fmt::join(options->run, "|")));
    if (!compiled.ok()) {
      output.err(fmt::format("error: --run: {}\n", compiled.status().message()));
      return kUsage;
    }
    run = std::move(*compiled);
  }
  RuleTester tester(*options, std::move(run), output);
  std::vector<RuleTestFileResult> results;
  bool is_good = true;
  for (const std::string& path : options->files) {
    output.out(fmt::format("Unit Testing:  {}\n", path));
    results.push_back(tester.run_file(path));
    const RuleTestFileResult& result = results.back();
    if (result.is_good()) {
      output.out("  SUCCESS\n\n");
      continue;
    }
    is_good = false;
    std::string told = "  FAILED:\n";
    for (const std::string& error : result.errors) told += error + "\n";
    for (const RuleTestResult& test : result.tests) {
      for (const std::string& failure : test.failures) told += failure + "\n";
    }
    output.err(told + "\n");
  }
  if (!options->junit.empty()) {
    const std::unique_ptr<FileSystem> files = make_posix_file_system();
    const Status written =
        write_file_atomically(*files, options->junit, junit_report(results, now()));
    if (!written.ok()) {
      output.err(fmt::format("error: --junit: {}\n", written.message()));
      return kFailed;
    }
  }
  return is_good ? kOk : kFailed;
}

}  // namespace tarsier::server
