#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// A place in the log of received spans, growing with every batch. Zero: nothing to wait for.
struct SpanLogPosition {
  std::uint64_t value = 0;
  auto operator<=>(const SpanLogPosition&) const = default;
};

/// What became of a batch.
struct SpanAdmission {
  /// Set: nothing of the batch was taken, and the sender should come again after this long
  /// (HTTP 503 with Retry-After, gRPC UNAVAILABLE with RetryInfo).
  std::optional<Duration> retry_after;
  std::string busy_reason;  ///< For the sender, with retry_after.
  /// Spans that are here already under the same (trace id, span id, kind): retries. Their indexes
  /// in the batch, ascending. A success to the sender; counted in no metric.
  std::vector<std::uint32_t> duplicates;
  /// Spans refused for good, ascending indexes; the sender is told how many, and `rejection`.
  std::vector<std::uint32_t> rejected;
  std::string rejection;
  /// The answer must wait for this.
  SpanLogPosition position;
};

/// Where received spans go. Receivers decode a request, hand the batch to the sink, count what it
/// took in the span metrics and answer. Any number of threads; accept() waits for no sync.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  /// REQUIRES: the batch has spans.
  virtual SpanAdmission accept(std::shared_ptr<const SpanBatch> batch) = 0;
  /// Calls `done` once what was accepted up to `position` survives what the sink promises, or with
  /// the error that prevents it; at once, or later on a thread of the log.
  virtual void when_accepted(SpanLogPosition position, std::function<void(Status)> done) = 0;
};

}  // namespace tarsier::tracing
