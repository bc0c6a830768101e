#pragma once

#include <cstddef>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "tracing/span_door.h"

namespace tarsier::tracing {

/// POST /v1/traces: OTLP spans in protobuf or JSON, plain, gzipped or in zstd. 200 says that every
/// span is here but those a partial success counts; 503 with Retry-After that none is, and that the
/// sender should come again; any other status is final. Any number of threads.
class OtlpTraceReceiver final {
 public:
  struct Options {
    /// Of one request, unpacked. What the specification recommends.
    std::size_t body_bytes_max = std::size_t{64} << 20;
  };
  /// `door` and `log` outlive this.
  OtlpTraceReceiver(SpanDoor& door, const Options& options, Logger& log)
      : door_(door), options_(options), log_(log) {}

  /// May answer after the receiver is gone.
  void handle(HttpRequest request, HttpResponder respond);

 private:
  SpanDoor& door_;
  const Options options_;
  Logger& log_;
};

}  // namespace tarsier::tracing
