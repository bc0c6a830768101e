#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::tracing {

/// The protobuf bytes of an ExportTraceServiceRequest that came as JSON (OTLP specification, "JSON
/// Protobuf Encoding": hex ids, enums as numbers, lowerCamelCase names; unknown fields are ignored,
/// null is absent). An id that is none is left out, so that its span is rejected alone, as that of
/// a protobuf request. kInvalid for what is no such request, kLimit for a document too large to
/// hold.
Result<std::string> otlp_json_to_wire(std::string_view body);

}  // namespace tarsier::tracing
