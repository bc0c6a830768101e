#include "query/queries_json.h"

#include <string_view>
#include <vector>

#include "base/rfc3339.h"

namespace tarsier::query {
namespace {

double in_seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

void write_record(JsonWriter& json, const QueryRecord& record, bool is_running) {
  json.begin_object();
  json.field("id", record.id).field("query", record.text);
  json.field("start", in_seconds(record.start.ms)).field("end", in_seconds(record.end.ms));
  json.field("step", in_seconds(record.step.ms)).field("begun", format_rfc3339_ms(record.begun));
  json.field("durationSeconds", record.elapsed_seconds);
  json.field("samplesRead", record.samples_read);
  json.field(is_running ? "memoryBytes" : "memoryPeakBytes", record.memory_bytes);
  if (!is_running) json.field("series", record.series);
  if (!record.error.empty()) json.field("error", record.error);
  if (record.origin != nullptr) {
    const QueryOrigin& origin = *record.origin;
    json.field("queuedSeconds", origin.queued_seconds);
    const auto text = [&](std::string_view key, const std::string& value) {
      if (!value.empty()) json.field(key, value);
    };
    text("client", origin.client);
    text("tenant", origin.tenant);
    text("method", origin.method);
    text("path", origin.path);
    text("ruleFile", origin.rule_file);
    text("ruleGroup", origin.rule_group);
    if (is_running) json.field("canCancel", origin.cancel != nullptr);
  }
  json.end_object();
}

void write_list(JsonWriter& json, std::string_view key, const std::vector<QueryRecord>& records,
                bool is_running) {
  json.key(key).begin_array();
  for (const QueryRecord& record : records) write_record(json, record, is_running);
  json.end_array();
}

}  // namespace

void write_queries(JsonWriter& json, const QueryMonitor& monitor, Timestamp now) {
  json.begin_object().field("serverTime", format_rfc3339_ms(now));
  write_list(json, "running", monitor.running(), true);
  write_list(json, "recent", monitor.recent(), false);
  write_list(json, "slow", monitor.slow(), false);
  json.end_object();
}

}  // namespace tarsier::query
