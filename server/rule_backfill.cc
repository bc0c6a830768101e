#include "server/rule_backfill.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "alerting/group_runner.h"
#include "alerting/rule_order.h"
#include "base/json_reader.h"
#include "base/percent_encoding.h"
#include "server/cli_ask.h"
#include "server/yaml.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

constexpr Duration kBlockRange = hours(2);

/// Seconds with milliseconds, as the API takes times.
std::string time_text(Timestamp t) { return fmt::format("{}.{:03}", t.ms / 1000, t.ms % 1000); }

Result<JsonValue> answer_of(const Result<HttpResponse>& response) {
  if (!response.ok()) return response.status();
  return parse_json(response->body, kAnswerLimits);
}

Result<query::MatrixSeries> read_series(const JsonValue& series) {
  const JsonValue* metric = series.find("metric");
  const JsonValue* values = series.find("values");
  if (!metric || metric->kind() != JsonKind::kObject || !values) {
    return invalid("the answer is not Prometheus'");
  }
  tsdb::LabelsBuilder labels;
  for (std::size_t i = 0; i < metric->items().size(); ++i) {
    labels.set(metric->keys()[i], TRY(metric->items()[i].as_string()));
  }
  query::MatrixSeries out{.labels = labels.build(), .points = {}};
  for (const JsonValue& point : values->items()) {
    if (point.items().size() != 2) return invalid("the answer is not Prometheus'");
    const double t = TRY(point.items()[0].as_double());
    const std::string text = TRY(point.items()[1].as_string());
    const double v = text == "NaN"    ? std::numeric_limits<double>::quiet_NaN()
                     : text == "+Inf" ? std::numeric_limits<double>::infinity()
                     : text == "-Inf" ? -std::numeric_limits<double>::infinity()
                                      : std::strtod(text.c_str(), nullptr);
    out.points.push_back({std::llround(t * 1000)}, v);
  }
  return out;
}

Status check_outcome(const alerting::Rule& rule, tsdb::AppendOutcome outcome) {
  if (outcome == tsdb::AppendOutcome::kAppended || outcome == tsdb::AppendOutcome::kIgnored) {
    return {};
  }
  return invalid(fmt::format("rule {}: {}", rule.name(), tsdb::append_outcome_text(outcome)));
}

Status append_series(tsdb::Appender& appender, const query::MatrixSeries& series,
                     const alerting::Rule& rule) {
  tsdb::LabelsBuilder labels(series.labels);
  labels.set(tsdb::kMetricName, rule.name());
  for (const auto& [name, value] : rule.labels()) labels.set(name, value);
  const tsdb::SeriesRef ref = TRY(appender.resolve(labels.build()));
  const tsdb::HistogramColumns none;
  const tsdb::HistogramColumns& histograms = series.histograms ? *series.histograms : none;
  std::size_t h = 0;
  const auto append_histograms_before = [&](std::int64_t t) -> Status {
    for (; h < histograms.size() && histograms.times_ms[h] < t; ++h) {
      TRY(check_outcome(
          rule, appender.append_float_histogram(ref, {histograms.times_ms[h]}, histograms.at(h))));
    }
    return {};
  };
  for (std::size_t i = 0; i < series.points.size(); ++i) {
    TRY(append_histograms_before(series.points.times_ms[i]));
    TRY(check_outcome(rule, appender.append(ref, {.t = {series.points.times_ms[i]},
                                                  .v = series.points.values[i]})));
  }
  return append_histograms_before(std::numeric_limits<std::int64_t>::max());
}

Status append_all(tsdb::Db& db, const std::vector<query::MatrixSeries>& all,
                  const alerting::Rule& rule) {
  const std::unique_ptr<tsdb::Appender> appender = db.appender();
  for (const query::MatrixSeries& series : all) TRY(append_series(*appender, series, rule));
  return std::move(appender->commit()).status();
}

}  // namespace

RuleBackfill::RuleBackfill(BackfillPlan plan, FileSystem& files, const AskServer& ask,
                           std::function<void(const std::string&)> tell)
    : plan_(std::move(plan)), files_(files), ask_(ask), tell_(std::move(tell)) {}

std::vector<RuleBackfill::Task> RuleBackfill::tasks_of(
    const std::vector<alerting::RuleGroup>& groups) const {
  std::vector<Task> out;
  for (const alerting::RuleGroup& group : groups) {
    const Duration interval = group.definition.interval.value_or(plan_.interval);
    const Duration offset =
        alerting::slot_offset_of(group.definition.file, group.definition.name, interval);
    for (const std::shared_ptr<const alerting::Rule>& rule : group.rules) {
      if (rule->is_alerting()) continue;
      Task task{.rule = rule.get(), .interval = interval, .offset = offset};
      for (Task& earlier : out) {
        if (!alerting::depends_on(*rule, *earlier.rule)) continue;
        task.reads_recorded = earlier.is_read = true;
      }
      out.push_back(task);
    }
  }
  return out;
}

/// Those of the server's configuration; none where it does not tell.
Result<tsdb::Labels> RuleBackfill::external_labels() {
  const Result<JsonValue> answer =
      answer_of(ask_({.url = plan_.url + "/api/v1/status/config", .timeout = minutes(3)}));
  if (!answer.ok()) return answer.status();
  tsdb::LabelsBuilder out;
  const JsonValue* data = answer->find("data");
  const JsonValue* yaml = data ? data->find("yaml") : nullptr;
  const Result<std::string> text = yaml ? yaml->as_string() : Result<std::string>(invalid(""));
  const Result<YamlNode> root = text.ok() ? parse_yaml(*text) : Result<YamlNode>(text.status());
  if (!root.ok()) return out.build();
  for (const YamlEntry& section : root->entries) {
    if (section.first.text != "global") continue;
    for (const YamlEntry& field : section.second.entries) {
      if (field.first.text != "external_labels") continue;
      for (const YamlEntry& label : field.second.entries) {
        out.set(label.first.text, label.second.text);
      }
    }
  }
  return out.build();
}

Status RuleBackfill::run(const std::vector<alerting::RuleGroup>& groups) {
  TRY(files_.create_directories(plan_.output_directory));
  recorded_ = TRY(ScratchDb::open(files_, log_, ScratchDb::Order::kAny));
  source_ =
      std::make_unique<RemoteSource>(RemoteSource::Doors{.files = files_,
                                                         .log = log_,
                                                         .ask = ask_,
                                                         .url = plan_.url,
                                                         .external_labels = TRY(external_labels()),
                                                         .recorded = recorded_->db()});
  const std::vector<Task> tasks = tasks_of(groups);
  for (std::int64_t begin = plan_.start.ms - plan_.start.ms % kBlockRange.ms; begin <= plan_.end.ms;
       begin += kBlockRange.ms) {
    // Blocks exclude their end.
    TRY(write_block(tasks, std::max(plan_.start, Timestamp{begin}),
                    std::min(plan_.end, Timestamp{begin + kBlockRange.ms - 1})));
  }
  return {};
}

Status RuleBackfill::write_block(const std::vector<Task>& tasks, Timestamp begin, Timestamp end) {
  const std::unique_ptr<ScratchDb> scratch = TRY(ScratchDb::open(files_, log_));
  std::size_t series_count = 0;
  for (const Task& task : tasks) {
    std::int64_t into = (begin.ms - task.offset.ms) % task.interval.ms;
    if (into < 0) into += task.interval.ms;
    const Timestamp first{into == 0 ? begin.ms : begin.ms - into + task.interval.ms};
    if (first > end) continue;
    const Series all = TRY(record(task, {.first = first, .last = end, .step = task.interval}));
    TRY(append_all(scratch->db(), all, *task.rule));
    if (task.is_read) TRY(append_all(recorded_->db(), all, *task.rule));
    series_count += all.size();
  }
  if (series_count == 0) return {};
  const std::string name = TRY(scratch->db().snapshot(end, tsdb::Db::SnapshotScope::kEverything));
  const std::string from = join_path(join_path(scratch->data_path(), "snapshots"), name);
  for (const DirectoryEntry& entry : TRY(files_.list(from))) {
    if (!entry.is_directory) continue;
    TRY(move_block(join_path(from, entry.name), join_path(plan_.output_directory, entry.name)));
    tell_(entry.name);
  }
  return {};
}

Result<RuleBackfill::Series> RuleBackfill::record(const Task& task, const Steps& steps) {
  if (!task.reads_recorded) {
    std::optional<Series> answered = TRY(ask_range(*task.rule, steps));
    if (answered) return std::move(*answered);
  }
  return compute(*task.rule, steps);
}

Result<std::optional<RuleBackfill::Series>> RuleBackfill::ask_range(const alerting::Rule& rule,
                                                                    const Steps& steps) {
  const std::string url =
      fmt::format("{}/api/v1/query_range?query={}&start={}&end={}&step={}", plan_.url,
                  percent_encoded(rule.query()), time_text(steps.first), time_text(steps.last),
                  time_text(Timestamp{steps.step.ms}));
  const JsonValue answer = TRY(answer_of(
      ask_({.url = url, .headers = {{"Accept-Encoding", "gzip"}}, .timeout = minutes(3)})));
  const JsonValue* data = answer.find("data");
  const JsonValue* result = data ? data->find("result") : nullptr;
  if (!result) {
    const JsonValue* error = answer.find("error");
    return invalid(fmt::format("rule {}: {}", rule.name(),
                               error ? TRY(error->as_string()) : "the answer is not Prometheus'"));
  }
  Series out;
  for (const JsonValue& series : result->items()) {
    if (series.find("histograms")) return std::optional<Series>();
    out.push_back(TRY(read_series(series)));
  }
  return std::optional<Series>(std::move(out));
}

Result<RuleBackfill::Series> RuleBackfill::compute(const alerting::Rule& rule, const Steps& steps) {
  const auto failed = [&](Status status) {
    return std::move(status).with_prefix("rule " + rule.name());
  };
  Result<query::PreparedQuery> prepared = engine_.prepare(
      {.text = rule.query(), .start = steps.first, .end = steps.last, .step = steps.step});
  if (!prepared.ok()) return failed(std::move(prepared).status());
  Result<query::QueryResult> answer = engine_.run(*source_, *prepared, nullptr);
  source_->forget();
  if (!answer.ok()) return failed(std::move(answer).status());
  return std::move(answer->matrix);
}

/// A rename where possible; else file by file, for the output may be another file system.
Status RuleBackfill::move_block(const std::string& from, const std::string& to) {
  if (files_.rename(from, to).ok()) return files_.sync_directory(plan_.output_directory);
  const std::string temporary = to + ".tmp-for-creation";
  TRY(copy(from, temporary));
  TRY(files_.rename(temporary, to));
  return files_.sync_directory(plan_.output_directory);
}

Status RuleBackfill::copy(const std::string& from, const std::string& to) {
  TRY(files_.create_directories(to));
  for (const DirectoryEntry& entry : TRY(files_.list(from))) {
    const std::string source = join_path(from, entry.name);
    if (entry.is_directory) {
      TRY(copy(source, join_path(to, entry.name)));
    } else {
      const std::string contents =
          TRY(read_file(files_, source, std::numeric_limits<std::uint32_t>::max()));
      TRY(write_file_atomically(files_, join_path(to, entry.name), contents));
    }
  }
  return {};
}

}  // namespace tarsier::server
