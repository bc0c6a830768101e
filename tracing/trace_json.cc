#include "tracing/trace_json.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/base64.h"
#include "base/protobuf_reader.h"
#include "tracing/span.h"

namespace tarsier::tracing {
namespace {

constexpr int kDepthMax = kAttributeDepthMax;

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

void write_value(JsonWriter& json, const AttributeValue& value, int depth);

void write_key_value(JsonWriter& json, std::string_view key, const AttributeValue& value,
                     int depth) {
  json.begin_object().field("key", key).key("value");
  write_value(json, value, depth);
  json.end_object();
}

void write_value(JsonWriter& json, const AttributeValue& value, int depth) {
  json.begin_object();
  switch (value.kind) {
    case AttributeValue::Kind::kEmpty: break;
    case AttributeValue::Kind::kString: json.field("stringValue", value.bytes); break;
    case AttributeValue::Kind::kBool: json.field("boolValue", value.integer != 0); break;
    case AttributeValue::Kind::kInt: json.field("intValue", std::to_string(value.integer)); break;
    case AttributeValue::Kind::kDouble:
      json.key("doubleValue");
      write_double(json, value.real);
      break;
    case AttributeValue::Kind::kBytes: json.field("bytesValue", encode_base64(value.bytes)); break;
    case AttributeValue::Kind::kArray:
      json.key("arrayValue").begin_object().key("values").begin_array();
      if (depth < kDepthMax) {
        for_each_element(value, [&](const AttributeValue& v) { write_value(json, v, depth + 1); });
      }
      json.end_array().end_object();
      break;
    case AttributeValue::Kind::kMap:
      json.key("kvlistValue").begin_object().key("values").begin_array();
      if (depth < kDepthMax) {
        for_each_member(value, [&](std::string_view key, const AttributeValue& v) {
          write_key_value(json, key, v, depth + 1);
        });
      }
      json.end_array().end_object();
      break;
  }
  json.end_object();
}

/// Writes messages of one form.
class TraceJson final {
 public:
  TraceJson(JsonWriter& json, TraceJsonForm form) : json_(json), form_(form) {}

  void resource_spans(std::string_view message) {
    json_.begin_object();
    ProtobufReader fields(message);
    std::string_view schema_url;
    json_.key("resource").begin_object();
    while (fields.next()) {
      if (is_message(fields, 1)) envelope(fields.bytes(), 1, 2);
      if (is_message(fields, 3)) schema_url = fields.bytes();
    }
    json_.end_object();
    list("scopeSpans", message, 2, [&](std::string_view m) { scope_spans(m); });
    text("schemaUrl", schema_url);
    json_.end_object();
  }

 private:
  static bool is_message(const ProtobufReader& fields, std::uint32_t field) {
    return fields.field() == field && fields.type() == ProtobufReader::kBytes;
  }

  template <typename Write>
  void list(std::string_view name, std::string_view message, std::uint32_t field, Write write) {
    ProtobufReader fields(message);
    bool is_open = false;
    while (fields.next()) {
      if (!is_message(fields, field)) continue;
      if (!is_open) json_.key(name).begin_array();
      is_open = true;
      write(fields.bytes());
    }
    if (is_open) json_.end_array();
  }

  void text(std::string_view name, std::string_view value) {
    if (!value.empty()) json_.field(name, value);
  }
  void count(std::string_view name, std::uint64_t n) {
    if (n != 0) json_.field(name, n & 0xFFFFFFFF);
  }
  void long_number(std::string_view name, std::uint64_t n) {
    if (n != 0) json_.field(name, std::to_string(n));
  }
  void id(std::string_view name, std::string_view bytes) {
    if (bytes.empty()) return;
    json_.field(name, form_ == TraceJsonForm::kOtlp ? hex_of(bytes) : encode_base64(bytes));
  }

  void attributes(std::string_view message, std::uint32_t field) {
    list("attributes", message, field, [&](std::string_view wire) {
      std::string_view key;
      AttributeValue value;
      if (read_attribute(wire, key, value)) write_key_value(json_, key, value, 0);
    });
  }

  /// The attributes of a message and how many were dropped, inside an object that is open.
  void envelope(std::string_view message, std::uint32_t attributes_field,
                std::uint32_t dropped_field) {
    attributes(message, attributes_field);
    ProtobufReader fields(message);
    std::uint64_t dropped = 0;
    while (fields.next()) {
      if (fields.field() == dropped_field && fields.type() == ProtobufReader::kVarint) {
        dropped = fields.number();
      }
    }
    count("droppedAttributesCount", dropped);
  }

  void scope_spans(std::string_view message) {
    json_.begin_object();
    std::string_view schema_url;
    ProtobufReader fields(message);
    json_.key("scope").begin_object();
    while (fields.next()) {
      if (is_message(fields, 1)) {
        named_envelope(fields.bytes());
      }
      if (is_message(fields, 3)) schema_url = fields.bytes();
    }
    json_.end_object();
    list("spans", message, 2, [&](std::string_view m) { span(m); });
    text("schemaUrl", schema_url);
    json_.end_object();
  }

  void named_envelope(std::string_view scope) {
    std::string_view name;
    std::string_view version;
    ProtobufReader fields(scope);
    while (fields.next()) {
      if (is_message(fields, 1)) name = fields.bytes();
      if (is_message(fields, 2)) version = fields.bytes();
    }
    text("name", name);
    text("version", version);
    envelope(scope, 3, 4);
  }

  void span(std::string_view message) {
    std::string_view trace_id, span_id, parent_id;
    std::uint64_t dropped_attributes = 0, dropped_events = 0, dropped_links = 0;
    bool has_status = false;
    ProtobufReader fields(message);
    while (fields.next()) {
      if (is_message(fields, 1)) trace_id = fields.bytes();
      if (is_message(fields, 2)) span_id = fields.bytes();
      if (is_message(fields, 4)) parent_id = fields.bytes();
      if (is_message(fields, 15)) has_status = true;
      if (fields.type() != ProtobufReader::kVarint) continue;
      if (fields.field() == 10) dropped_attributes = fields.number();
      if (fields.field() == 12) dropped_events = fields.number();
      if (fields.field() == 14) dropped_links = fields.number();
    }
    SpanRecord record;
    read_span(message, record);
    json_.begin_object();
    id("traceId", trace_id);
    id("spanId", span_id);
    text("traceState", record.trace_state);
    id("parentSpanId", parent_id);
    text("name", record.name);
    if (record.kind != SpanKind::kUnspecified) number_or_name("kind", record.kind);
    long_number("startTimeUnixNano", record.start_ns);
    long_number("endTimeUnixNano", record.end_ns);
    attributes(message, 9);
    count("droppedAttributesCount", dropped_attributes);
    list("events", message, 11, [&](std::string_view m) { event(m); });
    count("droppedEventsCount", dropped_events);
    list("links", message, 13, [&](std::string_view m) { link(m); });
    count("droppedLinksCount", dropped_links);
    if (has_status) {
      json_.key("status").begin_object();
      text("message", record.status_message);
      if (record.status != StatusCode::kUnset) number_or_name("code", record.status);
      json_.end_object();
    }
    count("flags", record.flags);
    json_.end_object();
  }

  template <typename Enum>
  void number_or_name(std::string_view name, Enum value) {
    const auto number = static_cast<std::int64_t>(value);
    if (form_ == TraceJsonForm::kOtlp) {
      json_.field(name, number);
    } else if constexpr (std::is_same_v<Enum, SpanKind>) {
      number >= 0 && number <= 5 ? json_.field(name, kind_name(value)) : json_.field(name, number);
    } else {
      number >= 0 && number <= 2 ? json_.field(name, status_name(value))
                                 : json_.field(name, number);
    }
  }

  void event(std::string_view message) {
    SpanEvent event;
    read_event(message, event);
    json_.begin_object();
    long_number("timeUnixNano", event.time_ns);
    text("name", event.name);
    envelope(message, 3, 4);
    json_.end_object();
  }

  void link(std::string_view message) {
    SpanLink link;
    read_link(message, link);
    std::string trace_id, span_id;
    append_bytes(trace_id, link.trace_id);
    append_bytes(span_id, link.span_id);
    json_.begin_object();
    id("traceId", trace_id);
    id("spanId", span_id);
    text("traceState", link.trace_state);
    envelope(message, 4, 5);
    count("flags", link.flags);
    json_.end_object();
  }

  JsonWriter& json_;
  const TraceJsonForm form_;
};

}  // namespace

void write_resource_spans(JsonWriter& json, std::string_view traces_data, TraceJsonForm form) {
  TraceJson writer(json, form);
  json.begin_array();
  ProtobufReader fields(traces_data);
  while (fields.next()) {
    if (fields.field() == 1 && fields.type() == ProtobufReader::kBytes) {
      writer.resource_spans(fields.bytes());
    }
  }
  json.end_array();
}

void write_any_value(JsonWriter& json, const AttributeValue& value) { write_value(json, value, 0); }

void write_double(JsonWriter& json, double v) {
  if (std::isnan(v)) {
    json.value("NaN");
  } else if (std::isinf(v)) {
    json.value(v > 0 ? "Infinity" : "-Infinity");
  } else {
    json.value(v);
  }
}

}  // namespace tarsier::tracing
