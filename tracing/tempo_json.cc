#include "tracing/tempo_json.h"

#include <algorithm>
#include <array>

#include "tracing/trace_json.h"
#include "tracing/traceql/metrics.h"

namespace tarsier::tracing {
namespace {

constexpr std::array<std::string_view, 25> kIntrinsics = {"duration",
                                                          "kind",
                                                          "name",
                                                          "rootName",
                                                          "rootServiceName",
                                                          "status",
                                                          "statusMessage",
                                                          "traceDuration",
                                                          "span:duration",
                                                          "span:kind",
                                                          "span:name",
                                                          "span:status",
                                                          "span:statusMessage",
                                                          "span:id",
                                                          "span:parentID",
                                                          "span:childCount",
                                                          "trace:duration",
                                                          "trace:id",
                                                          "trace:rootName",
                                                          "trace:rootService",
                                                          "event:name",
                                                          "event:timeSinceStart",
                                                          "link:traceID",
                                                          "link:spanID",
                                                          "instrumentation:name"};

/// What stands for the root of a trace whose root has not come.
constexpr std::string_view kNoRoot = "<root span not yet received>";

void write_value(JsonWriter& json, const ShownValue& value) {
  json.begin_object();
  switch (value.kind) {
    case ShownValue::Kind::kText: json.field("stringValue", value.text); break;
    case ShownValue::Kind::kInt: json.field("intValue", std::to_string(value.integer)); break;
    case ShownValue::Kind::kBool: json.field("boolValue", value.integer != 0); break;
    case ShownValue::Kind::kDouble:
      json.key("doubleValue");
      write_double(json, value.real);
      break;
    case ShownValue::Kind::kArray:
      json.key("arrayValue").begin_object().key("values").begin_array();
      for (const ShownValue& element : value.elements) write_value(json, element);
      json.end_array().end_object();
  }
  json.end_object();
}

void write_attributes(JsonWriter& json, std::string_view name, const ShownAttributes& attributes) {
  if (attributes.empty()) return;
  json.key(name).begin_array();
  for (const auto& [key, value] : attributes) {
    json.begin_object().field("key", key).key("value");
    write_value(json, value);
    json.end_object();
  }
  json.end_array();
}

void write_set(JsonWriter& json, const MatchedSet& set) {
  json.begin_object().key("spans").begin_array();
  for (const MatchedSpan& span : set.spans) {
    json.begin_object().field("spanID", to_hex(span.id));
    if (!span.name.empty()) json.field("name", span.name);
    json.field("startTimeUnixNano", std::to_string(span.start_ns));
    if (span.duration_ns > 0) json.field("durationNanos", std::to_string(span.duration_ns));
    write_attributes(json, "attributes", span.attributes);
    json.end_object();
  }
  json.end_array();
  json.field("matched", set.matched);
  write_attributes(json, "attributes", set.attributes);
  json.end_object();
}

void write_search_metrics(JsonWriter& json, const QueryCosts& costs) {
  json.key("metrics").begin_object();
  if (costs.traces > 0) json.field("inspectedTraces", costs.traces);
  if (costs.bytes > 0) json.field("inspectedBytes", std::to_string(costs.bytes));
  const std::uint64_t parts = costs.parts + costs.pruned;
  if (parts > 0) {
    json.field("totalBlocks", parts).field("completedJobs", parts).field("totalJobs", parts);
  }
  if (costs.spans > 0) json.field("inspectedSpans", std::to_string(costs.spans));
  json.end_object();
}

void write_labels(JsonWriter& json, const ShownAttributes& labels) {
  json.key("labels").begin_array();
  for (const auto& [key, value] : labels) {
    json.begin_object().field("key", key).key("value");
    write_value(json, value);
    json.end_object();
  }
  json.end_array();
}

void write_metrics_end(JsonWriter& json, const MetricsAnswer& answer) {
  write_search_metrics(json, answer.costs);
  if (answer.is_partial) json.field("status", "PARTIAL").field("message", answer.message);
  json.end_object();
}

}  // namespace

void write_matched_trace(JsonWriter& json, const MatchedTrace& trace) {
  json.field("traceID", to_hex(trace.id));
  json.field("rootServiceName", trace.has_root ? std::string_view(trace.root_service) : kNoRoot);
  if (!trace.root_name.empty()) json.field("rootTraceName", trace.root_name);
  json.field("startTimeUnixNano", std::to_string(trace.start_ns));
  if (const std::uint64_t ms = trace.duration_ns / 1'000'000; ms > 0) json.field("durationMs", ms);
  if (!trace.sets.empty()) {
    json.key("spanSet");
    write_set(json, trace.sets[0]);
  }
  json.key("spanSets").begin_array();
  for (const MatchedSet& set : trace.sets) write_set(json, set);
  json.end_array();
  json.key("serviceStats").begin_object();
  for (const auto& [service, counts] : trace.services) {
    json.key(service).begin_object().field("spanCount", std::uint64_t{counts.spans});
    if (counts.errors > 0) json.field("errorCount", std::uint64_t{counts.errors});
    json.end_object();
  }
  json.end_object();
}

std::string tempo_search_json(const SearchAnswer& answer) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("traces").begin_array();
  for (const MatchedTrace& trace : answer.traces) {
    json.begin_object();
    write_matched_trace(json, trace);
    json.end_object();
  }
  json.end_array();
  write_search_metrics(json, answer.costs);
  json.end_object();
  return out;
}

std::string tempo_tags_v1_json(const std::vector<TagNames>& tags) {
  std::vector<std::string> names;
  for (const TagNames& scope : tags) {
    if (scope.scope != "resource" && scope.scope != "span") continue;
    names.insert(names.end(), scope.names.begin(), scope.names.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("tagNames").begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array().key("metrics").begin_object().end_object().end_object();
  return out;
}

std::string tempo_tags_v2_json(const std::vector<TagNames>& tags, std::string_view scope,
                               std::size_t limit) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("scopes").begin_array();
  for (const TagNames& names : tags) {
    if (!scope.empty() && names.scope != scope) continue;
    json.begin_object().field("name", names.scope).key("tags").begin_array();
    for (std::size_t i = 0; i < std::min(limit, names.names.size()); ++i) {
      json.value(names.names[i]);
    }
    json.end_array().end_object();
  }
  if (scope.empty() || scope == "intrinsic") {
    json.begin_object().field("name", "intrinsic").key("tags").begin_array();
    for (const std::string_view name : kIntrinsics) json.value(name);
    json.value("instrumentation:version").end_array().end_object();
  }
  json.end_array().key("metrics").begin_object().end_object().end_object();
  return out;
}

std::string tempo_tag_values_v1_json(const std::vector<TagValue>& values) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("tagValues").begin_array();
  for (const TagValue& value : values) json.value(value.value);
  json.end_array().key("metrics").begin_object().end_object().end_object();
  return out;
}

std::string tempo_tag_values_v2_json(const std::vector<TagValue>& values) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("tagValues").begin_array();
  for (const TagValue& value : values) {
    json.begin_object().field("type", value.type).field("value", value.value).end_object();
  }
  json.end_array().key("metrics").begin_object().end_object().end_object();
  return out;
}

std::string tempo_range_json(const MetricsAnswer& answer) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("series").begin_array();
  for (const SpanSeries& series : answer.series) {
    json.begin_object();
    write_labels(json, series.labels);
    json.key("samples").begin_array();
    for (const auto& [t, v] : series.points) {
      json.begin_object().field("timestampMs", std::to_string(t)).key("value");
      write_double(json, v);
      json.end_object();
    }
    json.end_array();
    if (!series.exemplars.empty()) {
      json.key("exemplars").begin_array();
      for (const SpanSeries::Exemplar& e : series.exemplars) {
        json.begin_object().key("labels").begin_array().begin_object().field("key", "trace:id");
        json.key("value").begin_object().field("stringValue", e.trace_id).end_object();
        json.end_object().end_array().key("value");
        write_double(json, e.value);
        json.field("timestampMs", std::to_string(e.timestamp_ms)).end_object();
      }
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
  write_metrics_end(json, answer);
  return out;
}

std::string tempo_instant_json(const MetricsAnswer& answer) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("series").begin_array();
  for (const SpanSeries& series : answer.series) {
    if (series.points.empty()) continue;
    json.begin_object();
    write_labels(json, series.labels);
    json.key("value");
    write_double(json, series.points[0].second);
    json.end_object();
  }
  json.end_array();
  write_metrics_end(json, answer);
  return out;
}

std::int64_t default_metrics_step_ns(std::int64_t range_ns) {
  return traceql::default_step_ns(range_ns);
}

}  // namespace tarsier::tracing
