#pragma once

#include <cstddef>

#include "base/http.h"
#include "base/log.h"
#include "tracing/span_door.h"

namespace tarsier::tracing {

/// What a receiver takes at most.
struct SpanRequestLimits {
  /// Of one request, unpacked. What the OTLP specification recommends.
  std::size_t body_bytes_max = std::size_t{64} << 20;
  SpanLimits spans;
};

/// POST /v1/traces: OTLP spans in protobuf or JSON, plain, gzipped or in zstd. 200 says that every
/// span is here but those a partial success counts; 503 with Retry-After that none is, and that the
/// sender should come again; any other status is final. May answer later, on a thread of the sink.
/// Any number of threads.
void receive_otlp_traces(HttpRequest request, HttpResponder respond, SpanDoor& door,
                         const SpanRequestLimits& limits, Logger& log);

}  // namespace tarsier::tracing
