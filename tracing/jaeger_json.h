#pragma once

#include "base/json_writer.h"
#include "tracing/trace_queries.h"

namespace tarsier::tracing {

/// Writes a trace as Jaeger's older API shows it: microseconds, processes, tags, references.
void write_jaeger_trace(JsonWriter& json, const WholeTrace& trace);

/// `client`, `server`...; empty for a kind without a name there.
std::string_view jaeger_kind(SpanKind kind);

}  // namespace tarsier::tracing
