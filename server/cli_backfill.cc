#include "server/cli_backfill.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "alerting/group_runner.h"
#include "base/api.h"
#include "base/duration.h"
#include "base/json_reader.h"
#include "base/posix_file.h"
#include "server/cli_ask.h"
#include "server/rule_file.h"
#include "server/scratch_db.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 3;
constexpr Duration kBlockRange = hours(2);

struct Plan {
  std::string url = "http://localhost:9090";
  std::string output_directory = "data/";
  Timestamp start{0};
  Timestamp end{0};
  Duration interval = minutes(1);
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
      plan.url = value.find("://") == std::string::npos ? "http://" + value : value;
    } else if (name == "output-dir") {
      plan.output_directory = value;
    } else if (name == "start") {
      plan.start = TRY(parse_api_time(value));
    } else if (name == "end") {
      plan.end = TRY(parse_api_time(value));
    } else if (name == "eval-interval") {
      plan.interval = TRY(parse_duration(value));
    } else {
      return invalid(fmt::format("unknown long flag '--{}'", name));
    }
  }
  while (plan.url.ends_with('/')) plan.url.pop_back();
  if (!named.contains("start")) return invalid("required flag --start not provided");
  if (!named.contains("end")) plan.end = now - hours(3);
  if (plan.end <= plan.start) return invalid("start time is not before end time");
  if (plan.files.empty()) return invalid("required argument 'rule-files' not provided");
  if (plan.interval.ms <= 0) return invalid("--eval-interval must be positive");
  return plan;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

/// Seconds with milliseconds, as the API takes times.
std::string time_text(Timestamp t) { return fmt::format("{}.{:03}", t.ms / 1000, t.ms % 1000); }

Status append_series(tsdb::Appender& appender, const JsonValue& series,
                     const alerting::Rule& rule) {
  const JsonValue* metric = series.find("metric");
  const JsonValue* values = series.find("values");
  if (!metric || !values) return invalid("the answer is not Prometheus'");
  tsdb::LabelsBuilder labels;
  for (std::size_t i = 0; i < metric->items().size(); ++i) {
    labels.set(metric->keys()[i], TRY(metric->items()[i].as_string()));
  }
  labels.set(tsdb::kMetricName, rule.name());
  for (const auto& [name, value] : rule.labels()) labels.set(name, value);
  const tsdb::SeriesRef ref = TRY(appender.resolve(labels.build()));
  for (const JsonValue& point : values->items()) {
    if (point.items().size() != 2) return invalid("the answer is not Prometheus'");
    const double t = TRY(point.items()[0].as_double());
    const std::string text = TRY(point.items()[1].as_string());
    const double v = text == "NaN"    ? std::numeric_limits<double>::quiet_NaN()
                     : text == "+Inf" ? std::numeric_limits<double>::infinity()
                     : text == "-Inf" ? -std::numeric_limits<double>::infinity()
                                      : std::strtod(text.c_str(), nullptr);
    const Timestamp at{static_cast<std::int64_t>(t * 1000 + 0.5)};
    const tsdb::AppendOutcome outcome = appender.append(ref, {.t = at, .v = v});
    if (outcome != tsdb::AppendOutcome::kAppended && outcome != tsdb::AppendOutcome::kIgnored) {
      return invalid(fmt::format("rule {}: {}", rule.name(), tsdb::append_outcome_text(outcome)));
    }
  }
  return {};
}

class Backfill final {
 public:
  Backfill(const Plan& plan, const FetchText& fetch, const CommandOutput& output)
      : plan_(plan), fetch_(fetch), output_(output) {}

  Status run(const std::vector<alerting::RuleGroup>& groups) {
    TRY(files_->create_directories(plan_.output_directory));
    for (std::int64_t begin = plan_.start.ms - plan_.start.ms % kBlockRange.ms;
         begin <= plan_.end.ms; begin += kBlockRange.ms) {
      // Blocks exclude their end.
      TRY(write_block(groups, std::max(plan_.start, Timestamp{begin}),
                      std::min(plan_.end, Timestamp{begin + kBlockRange.ms - 1})));
    }
    return {};
  }

 private:
  Status write_block(const std::vector<alerting::RuleGroup>& groups, Timestamp begin,
                     Timestamp end) {
    const std::unique_ptr<ScratchDb> scratch = TRY(ScratchDb::open(*files_, log_));
    std::size_t series_count = 0;
    for (const alerting::RuleGroup& group : groups) {
      for (const std::shared_ptr<const alerting::Rule>& rule : group.rules) {
        if (!rule->is_alerting()) {
          series_count += TRY(record(group, *rule, begin, end, scratch->db()));
        }
      }
    }
    if (series_count == 0) return {};
    const std::string name = TRY(scratch->db().snapshot(end, tsdb::Db::SnapshotScope::kEverything));
    const std::string from = join_path(join_path(scratch->data_path(), "snapshots"), name);
    for (const DirectoryEntry& entry : TRY(files_->list(from))) {
      if (!entry.is_directory) continue;
      TRY(move_block(join_path(from, entry.name), join_path(plan_.output_directory, entry.name)));
      if (!plan_.is_quiet) output_.out(fmt::format("{}\n", entry.name));
    }
    return {};
  }

  /// A rename where possible; else file by file, for the output may be another file system.
  Status move_block(const std::string& from, const std::string& to) {
    if (files_->rename(from, to).ok()) return files_->sync_directory(plan_.output_directory);
    const std::string temporary = to + ".tmp-for-creation";
    TRY(copy(from, temporary));
    TRY(files_->rename(temporary, to));
    return files_->sync_directory(plan_.output_directory);
  }

  Status copy(const std::string& from, const std::string& to) {
    TRY(files_->create_directories(to));
    for (const DirectoryEntry& entry : TRY(files_->list(from))) {
      const std::string source = join_path(from, entry.name);
      if (entry.is_directory) {
        TRY(copy(source, join_path(to, entry.name)));
      } else {
        const std::string contents =
            TRY(read_file(*files_, source, std::numeric_limits<std::uint32_t>::max()));
        TRY(write_file_atomically(*files_, join_path(to, entry.name), contents));
      }
    }
    return {};
  }

  /// How many series the rule gave.
  Result<std::size_t> record(const alerting::RuleGroup& group, const alerting::Rule& rule,
                             Timestamp begin, Timestamp end, tsdb::Db& db) {
    const Duration interval = group.definition.interval.value_or(plan_.interval);
    const Duration offset =
        alerting::slot_offset_of(group.definition.file, group.definition.name, interval);
    std::int64_t into = (begin.ms - offset.ms) % interval.ms;
    if (into < 0) into += interval.ms;
    const Timestamp first{into == 0 ? begin.ms : begin.ms - into + interval.ms};
    if (first > end) return std::size_t{0};
    const std::string url = fmt::format("{}/api/v1/query_range?query={}&start={}&end={}&step={}",
                                        plan_.url, percent_encoded(rule.query()), time_text(first),
                                        time_text(end), time_text(Timestamp{interval.ms}));
    const std::string body = TRY(fetch_(url));
    const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
    const JsonValue* data = answer.find("data");
    const JsonValue* result = data ? data->find("result") : nullptr;
    if (!result) {
      const JsonValue* error = answer.find("error");
      return invalid(
          fmt::format("rule {}: {}", rule.name(),
                      error ? TRY(error->as_string()) : "the answer is not Prometheus'"));
    }
    const std::unique_ptr<tsdb::Appender> appender = db.appender();
    for (const JsonValue& series : result->items()) TRY(append_series(*appender, series, rule));
    TRY(appender->commit());
    return result->items().size();
  }

  const Plan& plan_;
  const FetchText& fetch_;
  const CommandOutput& output_;
  const std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  NullLogger log_;
};

}  // namespace

int create_blocks_from_rules(std::span<const std::string> arguments, Timestamp now,
                             const FetchText& fetch, const CommandOutput& output) {
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
  if (status.ok()) status = Backfill(*plan, fetch, output).run(groups);
  if (status.ok()) return kOk;
  output.err(fmt::format("error: {}\n", status.message()));
  return kFailed;
}

}  // namespace tarsier::server
