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
#include "server/cli_arguments.h"
#include "server/clock.h"
#include "server/glob.h"
#include "server/junit_report.h"
#include "server/rule_file.h"
#include "server/rule_test_file.h"
#include "server/scratch_db.h"

namespace tarsier::server {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 3;

bool has_feature(const std::vector<std::string>& features, std::string_view wanted) {
  return std::any_of(features.begin(), features.end(), [&](const std::string& list) {
    return ("," + list + ",").find(fmt::format(",{},", wanted)) != std::string::npos;
  });
}

query::EngineOptions engine_options(const std::vector<std::string>& features) {
  return {.experimental_functions = has_feature(features, "promql-experimental-functions"),
          .extended_range_selectors = has_feature(features, "promql-extended-range-selectors"),
          .binary_fill_modifiers = has_feature(features, "promql-binop-fill-modifiers"),
          .delayed_name_removal = has_feature(features, "promql-delayed-name-removal")};
}

RuleFileOptions file_options(const RuleCheckOptions& options) {
  const query::EngineOptions engine = engine_options(options.features);
  return {.syntax = {.expressions = {.experimental_functions = engine.experimental_functions,
                                     .extended_range_selectors = engine.extended_range_selectors,
                                     .fill_modifiers = engine.binary_fill_modifiers},
                     .legacy_names = options.legacy_names},
          .ignore_unknown_fields = options.ignores_unknown_fields};
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
  RuleTester(RuleCheckOptions options, bool shows_difference, std::optional<Regex> run,
             const CommandOutput& output)
      : options_(std::move(options)),
        shows_difference_(shows_difference),
        run_(std::move(run)),
        output_(output) {}

  RuleTestFileResult run_file(const std::string& path) {
    RuleTestFileResult result{.path = path, .tests = {}, .errors = {}};
    const Status status = try_file(path, result);
    if (!status.ok()) result.errors.push_back(status.message());
    return result;
  }

 private:
  Result<std::vector<alerting::RuleGroup>> read_rules(const alerting::RuleTestFile& file) {
    const RuleFileOptions how = file_options(options_);
    std::vector<alerting::RuleGroup> groups;
    for (auto& definition : TRY(read_rule_files(*files_, file.rule_files, how))) {
      groups.push_back(TRY(alerting::compile_group(std::move(definition), how.syntax)));
    }
    return groups;
  }

  Status try_file(const std::string& path, RuleTestFileResult& result) {
    const std::string text = TRY(read_file(*files_, path, kRuleFileBytesMax));
    const alerting::RuleTestFile file = TRY(parse_rule_test_file(text, path));
    for (const std::string& pattern : file.rule_files) {
      if (pattern.find('*') == std::string::npos && !files_->exists(pattern)) {
        output_.out(fmt::format("  WARNING: no file match pattern {}\n", pattern));
      }
    }
    const Result<std::vector<alerting::RuleGroup>> rules = read_rules(file);
    const std::vector<alerting::RuleGroup> groups = TRY(alerting::ordered_groups(
        rules.ok() ? *rules : std::vector<alerting::RuleGroup>(), file.group_order));
    for (std::size_t i = 0; i < file.tests.size(); ++i) {
      if (run_ && !run_->full_match(file.tests[i].name)) continue;
      alerting::RuleTest test = file.tests[i];
      if (test.name.empty()) test.name = fmt::format("unnamed#{}", i);
      // Rules that cannot be read fail every test, as in promtool's reports.
      result.tests.push_back(
          {.name = test.name,
           .failures = rules.ok() ? TRY(failures_of(file, test, groups))
                                  : std::vector<std::string>{rules.status().message()}});
    }
    return {};
  }

  Result<std::vector<std::string>> failures_of(const alerting::RuleTestFile& file,
                                               const alerting::RuleTest& test,
                                               const std::vector<alerting::RuleGroup>& groups) {
    const std::unique_ptr<ScratchDb> scratch = TRY(ScratchDb::open(*files_, log_));
    return alerting::run_rule_test(file, test, groups,
                                   {.storage = scratch->db(),
                                    .make_appender = [&] { return scratch->db().appender(); },
                                    .engine = engine_options(options_.features),
                                    .shows_difference = shows_difference_});
  }

  const RuleCheckOptions options_;
  const bool shows_difference_;
  const std::optional<Regex> run_;
  const CommandOutput& output_;
  const std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  NullLogger log_;
};

/// Says what is wrong with one text of rules, or how many it has.
void check_rule_text(const Result<std::string>& text, const std::string& path,
                     const RuleCheckOptions& options, const CommandOutput& output,
                     RuleFileVerdict& verdict) {
  output.out(fmt::format("Checking {}\n", path));
  const auto groups = text.ok() ? parse_rule_file(*text, path, file_options(options))
                                : Result<std::vector<alerting::RuleGroupDefinition>>(text.status());
  if (!groups.ok()) {
    output.err(fmt::format("  FAILED:\n{}\n", groups.status().message()));
    verdict.has_failed = true;
    return;
  }
  std::size_t count = 0;
  for (const alerting::RuleGroupDefinition& group : *groups) count += group.rules.size();
  const std::vector<std::string> findings =
      options.lint == "none" ? std::vector<std::string>() : duplicates(*groups);
  if (!findings.empty()) {
    std::string told = fmt::format("{} duplicate rule(s) found.\n", findings.size());
    for (const std::string& finding : findings) told += finding;
    output.out(told + "Might cause inconsistency while recording expressions\n");
  }
  if (!findings.empty() && options.lint_is_fatal) {
    output.err(fmt::format("  FAILED:\n{}: lint error: duplicate rules\n", path));
    verdict.has_findings = true;
  } else {
    output.out(fmt::format("  SUCCESS: {} rules found\n", count));
  }
  output.out("\n");
}

}  // namespace

RuleFileVerdict check_rule_files(std::span<const std::string> paths,
                                 const RuleCheckOptions& options, const CommandOutput& output) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  RuleFileVerdict verdict;
  for (const std::string& path : paths) {
    check_rule_text(read_file(*files, path, kRuleFileBytesMax), path, options, output, verdict);
  }
  return verdict;
}

int check_rules(std::span<const std::string> arguments, const CommandOutput& output) {
  const Result<CliArguments> parsed = parse_cli(
      arguments,
      {.switches = {"lint-fatal", "ignore-unknown-fields"}, .values = {"lint", "enable-feature"}});
  if (!parsed.ok()) {
    output.err(fmt::format("error: {}, try --help\n", parsed.status().message()));
    return kUsage;
  }
  const RuleCheckOptions options{.lint = parsed->value("lint", "duplicate-rules"),
                                 .features = parsed->all("enable-feature"),
                                 .lint_is_fatal = parsed->has("lint-fatal"),
                                 .ignores_unknown_fields = parsed->has("ignore-unknown-fields")};
  if (options.lint != "all" && options.lint != "duplicate-rules" && options.lint != "none") {
    output.err(fmt::format("error: unknown lint option {}\n", options.lint));
    return kUsage;
  }
  RuleFileVerdict verdict;
  const bool asks_for_input = parsed->rest.empty() || parsed->rest[0] == "-";
  if (asks_for_input) {
    const std::optional<std::string> text = output.in ? output.in() : std::nullopt;
    if (!text) {
      output.err("usage: tarsier check rules [--lint=LINT] [--lint-fatal] [FILE... | -]\n");
      return kUsage;
    }
    check_rule_text(*text, "standard input", options, output, verdict);
  } else {
    const std::unique_ptr<FileSystem> files = make_posix_file_system();
    verdict = check_rule_files(files_meant(*files, parsed->rest), options, output);
  }
  if (verdict.has_failed) return kFailed;
  return verdict.has_findings ? kRuleLintFatal : kOk;
}

int test_rules(std::span<const std::string> arguments, const CommandOutput& output) {
  // --debug is more talk in promtool; here everything is said.
  const Result<CliArguments> parsed =
      parse_cli(arguments, {.switches = {"ignore-unknown-fields", "diff", "debug"},
                            .values = {"run", "junit", "enable-feature"}});
  if (!parsed.ok()) {
    output.err(fmt::format("error: {}, try --help\n", parsed.status().message()));
    return kUsage;
  }
  if (parsed->rest.empty()) {
    output.err("usage: tarsier test rules [--run=REGEX] [--diff] [--junit=FILE] FILE...\n");
    return kUsage;
  }
  std::optional<Regex> run;
  if (parsed->has("run")) {
    // Ours are anchored, promtool's are not.
    Result<Regex> compiled =
        Regex::compile(fmt::format(".*(?:{}).*", fmt::join(parsed->all("run"), "|")));
    if (!compiled.ok()) {
      output.err(fmt::format("error: --run: {}\n", compiled.status().message()));
      return kUsage;
    }
    run = std::move(*compiled);
  }
  RuleTester tester({.features = parsed->all("enable-feature"),
                     .ignores_unknown_fields = parsed->has("ignore-unknown-fields")},
                    parsed->has("diff"), std::move(run), output);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  std::vector<RuleTestFileResult> results;
  bool is_good = true;
  for (const std::string& path : files_meant(*files, parsed->rest)) {
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
    std::string last;  // What is wrong with the rules is wrong for every test: told once.
    for (const RuleTestResult& test : result.tests) {
      for (const std::string& failure : test.failures) {
        if (failure != last) told += failure + "\n";
        last = failure;
      }
    }
    output.err(told + "\n");
  }
  if (parsed->has("junit")) {
    const Status written =
        write_file_atomically(*files, parsed->value("junit"), junit_report(results, now()));
    if (!written.ok()) {
      output.err(fmt::format("error: --junit: {}\n", written.message()));
      return kFailed;
    }
  }
  return is_good ? kOk : kFailed;
}

}  // namespace tarsier::server
