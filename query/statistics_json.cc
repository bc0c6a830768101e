#include "query/statistics_json.h"

#include "base/duration.h"
#include "base/number_text.h"
#include "query/explain.h"

namespace tarsier::query {
namespace {

void write_per_step(JsonWriter& json, std::string_view key, const StepCounts& counts) {
  if (counts.counts.empty()) return;
  json.key(key).begin_array();
  for (std::size_t k = 0; k < counts.counts.size(); ++k) {
    const std::int64_t t = counts.start_ms + static_cast<std::int64_t>(k) * counts.step_ms;
    json.begin_array().raw(plain_number(static_cast<double>(t) / 1000)).value(counts.counts[k]);
    json.end_array();
  }
  json.end_array();
}

}  // namespace

void write_statistics(JsonWriter& json, const QueryStatistics& statistics, double queued_seconds) {
  const double total =
      statistics.prepare_seconds + statistics.eval_seconds + statistics.sort_seconds;
  json.begin_object().key("timings").begin_object();
  json.field("evalTotalTime", total).field("resultSortTime", statistics.sort_seconds);
  json.field("queryPreparationTime", statistics.prepare_seconds);
  json.field("innerEvalTime", statistics.eval_seconds).field("execQueueTime", queued_seconds);
  json.field("execTotalTime", total + queued_seconds).end_object();
  json.key("samples").begin_object();
  write_per_step(json, "totalQueryableSamplesPerStep", statistics.queryable_per_step);
  json.field("totalQueryableSamples", statistics.samples_queryable);
  write_per_step(json, "samplesReadPerStep", statistics.read_per_step);
  json.field("samplesRead", statistics.samples_read);
  json.field("peakSamples", statistics.samples_peak).end_object();
  if (statistics.operators != nullptr) {
    json.key("operators");
    write_explanation(json, *statistics.operators);
  }
  if (!statistics.resolutions.empty()) {
    json.key("resolutions").begin_array();
    for (const Duration resolution : statistics.resolutions) {
      json.value(resolution == Duration{} ? "raw" : format_duration(resolution));
    }
    json.end_array();
  }
  json.end_object();
}

}  // namespace tarsier::query
