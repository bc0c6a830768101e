#include "tracing/jaeger_json.h"

#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "base/protobuf_reader.h"
#include "tracing/span.h"
#include "tracing/store/block_summary.h"

namespace tarsier::tracing {
namespace {

/// Integers beyond it lose digits in JavaScript.
constexpr std::int64_t kExactIntegerMax = (std::int64_t{1} << 53) - 1;

void write_tag(JsonWriter& json, std::string_view key, const AttributeValue& value) {
  json.begin_object().field("key", key);
  switch (value.kind) {
    case AttributeValue::Kind::kBool:
      json.field("type", "bool").field("value", value.integer != 0);
      break;
    case AttributeValue::Kind::kInt:
      json.field("type", "int64").key("value");
      if (value.integer > kExactIntegerMax || value.integer < -kExactIntegerMax) {
        json.value(std::to_string(value.integer));
      } else {
        json.value(value.integer);
      }
      break;
    case AttributeValue::Kind::kDouble:
      json.field("type", "float64").key("value");
      if (std::isfinite(value.real)) {
        json.value(value.real);
      } else {
        json.value(std::isnan(value.real) ? "NaN" : value.real > 0 ? "+Inf" : "-Inf");
      }
      break;
    case AttributeValue::Kind::kBytes:
      json.field("type", "binary").field("value", encode_base64(value.bytes));
      break;
    default: {
      std::string text;
      append_text(value, text);
      json.field("type", "string").field("value", text);
    }
  }
  json.end_object();
}

void write_text_tag(JsonWriter& json, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  json.begin_object().field("key", key).field("type", "string").field("value", text).end_object();
}

/// Name and version of an InstrumentationScope.
std::pair<std::string_view, std::string_view> scope_names(std::string_view scope) {
  std::pair<std::string_view, std::string_view> out;
  ProtobufReader fields(scope);
  while (fields.next()) {
    if (fields.type() != ProtobufReader::kBytes) continue;
    if (fields.field() == 1) out.first = fields.bytes();
    if (fields.field() == 2) out.second = fields.bytes();
  }
  return out;
}

void write_reference(JsonWriter& json, std::string_view type, TraceId trace, SpanId span) {
  json.begin_object().field("refType", type).field("traceID", to_hex(trace));
  json.field("spanID", to_hex(span)).end_object();
}

void write_tags(JsonWriter& json, const KeptSpan& parts, const SpanRecord& span) {
  json.key("tags").begin_array();
  for_each_span_attribute(parts.span, [&](std::string_view key, const AttributeValue& value) {
    write_tag(json, key, value);
  });
  write_text_tag(json, "span.kind", jaeger_kind(span.kind));
  const auto [scope_name, scope_version] = scope_names(parts.scope);
  write_text_tag(json, "otel.scope.name", scope_name);
  write_text_tag(json, "otel.scope.version", scope_version);
  if (span.status == StatusCode::kOk) write_text_tag(json, "otel.status_code", "OK");
  if (span.status == StatusCode::kError) {
    write_text_tag(json, "otel.status_code", "ERROR");
    write_tag(json, "error", {.kind = AttributeValue::Kind::kBool, .integer = 1});
  }
  write_text_tag(json, "otel.status_description", span.status_message);
  write_text_tag(json, "w3c.tracestate", span.trace_state);
  json.end_array();
}

void write_logs(JsonWriter& json, std::string_view span) {
  json.key("logs").begin_array();
  for_each_event(span, [&](const SpanEvent& event) {
    json.begin_object().field("timestamp", event.time_ns / 1000).key("fields").begin_array();
    write_text_tag(json, "event", event.name);
    for_each_event_attribute(event.wire, [&](std::string_view key, const AttributeValue& value) {
      write_tag(json, key, value);
    });
    json.end_array().end_object();
  });
  json.end_array();
}

void write_span(JsonWriter& json, const KeptSpan& parts, const SpanRecord& span,
                const std::string& process) {
  json.begin_object().field("traceID", to_hex(span.trace_id)).field("spanID", to_hex(span.span_id));
  json.field("flags", std::uint64_t{span.flags & 0xFF});
  json.field("operationName", span.name).key("references").begin_array();
  if (!span.is_root()) write_reference(json, "CHILD_OF", span.trace_id, span.parent_id);
  for_each_link(parts.span, [&](const SpanLink& link) {
    const bool is_parent = link.trace_id == span.trace_id && link.span_id == span.parent_id;
    if (!is_parent) write_reference(json, "FOLLOWS_FROM", link.trace_id, link.span_id);
  });
  json.end_array();
  json.field("startTime", span.start_ns / 1000).field("duration", span.duration_ns() / 1000);
  write_tags(json, parts, span);
  write_logs(json, parts.span);
  json.field("processID", process).key("warnings").null().end_object();
}

void write_process(JsonWriter& json, std::string_view resource) {
  std::string service(kNoServiceName);
  for_each_resource_attribute(resource, [&](std::string_view key, const AttributeValue& value) {
    if (key != "service.name") return true;
    service.clear();
    append_text(value, service);
    return false;
  });
  json.begin_object().field("serviceName", service).key("tags").begin_array();
  for_each_resource_attribute(resource, [&](std::string_view key, const AttributeValue& value) {
    if (key != "service.name") write_tag(json, key, value);
  });
  json.end_array().end_object();
}

}  // namespace

std::string_view jaeger_kind(SpanKind kind) {
  switch (kind) {
    case SpanKind::kInternal: return "internal";
    case SpanKind::kServer: return "server";
    case SpanKind::kClient: return "client";
    case SpanKind::kProducer: return "producer";
    case SpanKind::kConsumer: return "consumer";
    case SpanKind::kUnspecified: break;
  }
  return "";
}

void write_jaeger_trace(JsonWriter& json, const WholeTrace& trace) {
  std::map<std::string_view, std::string> processes;
  std::vector<std::string_view> resources;  // In the order of their first span.
  json.begin_object().field("traceID", to_hex(trace.id)).key("spans").begin_array();
  for (const KeptSpan& parts : trace.spans) {
    SpanRecord span;
    if (!read_span(parts.span, span)) continue;
    const auto [at, is_new] =
        processes.try_emplace(parts.resource, "p" + std::to_string(processes.size() + 1));
    if (is_new) resources.push_back(parts.resource);
    write_span(json, parts, span, at->second);
  }
  json.end_array().key("processes").begin_object();
  for (const std::string_view resource : resources) {
    json.key(processes.at(resource));
    write_process(json, resource);
  }
  json.end_object().key("warnings");
  if (trace.is_undecided) {
    json.begin_array().value("the trace is not decided yet: it may not be kept").end_array();
  } else {
    json.null();
  }
  json.end_object();
}

}  // namespace tarsier::tracing
