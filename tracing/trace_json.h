#pragma once

#include <string_view>

#include "base/json_writer.h"
#include "tracing/attribute.h"

namespace tarsier::tracing {

/// How OTLP's messages look as JSON.
enum class TraceJsonForm : unsigned char {
  kOtlp,   ///< OTLP/JSON: ids in hex, enums as numbers. Jaeger's v3 too.
  kTempo,  ///< The canonical form of protobuf: ids in base64, enums by name.
};

/// Writes the elements of `resourceSpans` of a TracesData message as one array. Bytes that are
/// damaged end the array early. 64-bit integers are strings; what is zero is left out.
void write_resource_spans(JsonWriter& json, std::string_view traces_data, TraceJsonForm form);
/// `{"stringValue":"x"}`.
void write_any_value(JsonWriter& json, const AttributeValue& value);
/// A number, or the names JSON has none for.
void write_double(JsonWriter& json, double v);

}  // namespace tarsier::tracing
