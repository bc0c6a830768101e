#include "server/cli_backfill.h"

#include <map>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "alerting/rule.h"
#include "base/api.h"
#include "base/duration.h"
#include "base/posix_file.h"
#include "server/cli_ask.h"
#include "server/rule_backfill.h"
#include "server/rule_file.h"

namespace tarsier::server {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 3;

struct Plan {
  BackfillPlan what;
  bool is_quiet = false;
  std::vector<std::string> files;
};

Result<Plan> read_plan(std::span<const std::string> arguments, Timestamp now) {
  std::map<std::string, std::string> named;
  Plan plan;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "-q" || argument == "--quiet") {
      plan.is_quiet = true;
    } else if (argument == "-r" || argument == "--human-readable") {
      continue;
    } else if (!argument.starts_with("--")) {
      plan.files.push_back(argument);
    } else if (const std::size_t equals = argument.find('='); equals != std::string::npos) {
      named[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      named[argument.substr(2)] = arguments[++i];
    }
  }
  for (const auto& [name, value] : named) {
    if (name == "url") {
      plan.what.url = server_url(value);
    } else if (name == "output-dir") {
      plan.what.output_directory = value;
    } else if (name == "start") {
      plan.what.start = TRY(parse_api_time(value));
    } else if (name == "end") {
      plan.what.end = TRY(parse_api_time(value));
    } else if (name == "eval-interval") {
      plan.what.interval = TRY(parse_duration(value));
    } else {
      return invalid(fmt::format("unknown long flag '--{}'", name));
    }
  }
  if (!named.contains("start")) return invalid("required flag --start not provided");
  if (!named.contains("end")) plan.what.end = now - hours(3);
  if (plan.what.end <= plan.what.start) return invalid("start time is not before end time");
  if (plan.files.empty()) return invalid("required argument 'rule-files' not provided");
  if (plan.what.interval.ms <= 0) return invalid("--eval-interval must be positive");
  return plan;
}

}  // namespace

int create_blocks_from_rules(std::span<const std::string> arguments, Timestamp now,
                             const AskServer& ask, const CommandOutput& output) {
  const Result<Plan> plan = read_plan(arguments, now);
  if (!plan.ok()) {
    output.err(fmt::format("error: {}\n", plan.status().message()));
    return kUsage;
  }
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  Result<std::vector<alerting::RuleGroupDefinition>> definitions =
      read_rule_files(*files, plan->files, {});
  Status status = definitions.status();
  std::vector<alerting::RuleGroup> groups;
  if (status.ok()) {
    for (alerting::RuleGroupDefinition& definition : *definitions) {
      Result<alerting::RuleGroup> group = alerting::compile_group(std::move(definition), {});
      if (!group.ok()) {
        status = group.status();
        break;
      }
      groups.push_back(std::move(*group));
    }
  }
  if (status.ok()) {
    const auto tell = [&](const std::string& block) {
      if (!plan->is_quiet) output.out(block + "\n");
    };
    status = RuleBackfill(plan->what, *files, ask, tell).run(groups);
  }
  if (status.ok()) return kOk;
  output.err(fmt::format("error: {}\n", status.message()));
  return kFailed;
}

}  // namespace tarsier::server
