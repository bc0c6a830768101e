#pragma once

#include <string>
#include <string_view>

#include "base/http.h"
#include "base/log.h"
#include "base/result.h"
#include "tracing/otlp_traces.h"
#include "tracing/span_door.h"

namespace tarsier::tracing {

/// The bytes of an OTLP request that mean what Zipkin v2 spans mean (zipkin.io, "Zipkin2 v2 API"):
/// a list in JSON, or a zipkin.proto3.ListOfSpans. Ids of 64 bits are padded, microseconds become
/// nanoseconds, endpoints attributes, an `error` tag the status. A span with a bad id is left
/// without it, and so rejected alone. kInvalid and kCorruption for what is no such list.
Result<std::string> zipkin_json_to_wire(std::string_view body);
Result<std::string> zipkin_protobuf_to_wire(std::string_view body);

/// POST /api/v2/spans, plain, gzipped or in zstd: 202 when the spans are here, 400 for what are
/// none, 503 with Retry-After when the sender should come again. As receive_otlp_traces()
/// otherwise.
void receive_zipkin_spans(HttpRequest request, HttpResponder respond, SpanDoor& door,
                          const SpanRequestLimits& limits, Logger& log);

}  // namespace tarsier::tracing
