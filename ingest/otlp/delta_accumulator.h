#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "ingest/otlp/model.h"

namespace tarsier::ingest {

/// Adds up what OTLP senders of delta temporality tell, so that it is stored as counters that only
/// grow. One stream is a metric with its labels; what is remembered of it is its last sum, and only
/// for as long as it is heard of: a stream that was silent for `idle_max` begins anew, as does
/// everything after a restart, which queries see as a counter reset. The rules are those of
/// the OpenTelemetry collector's deltatocumulative processor. Any number of threads.
class DeltaAccumulator final {
 public:
  struct Options {
    std::size_t streams_max = 100'000;  ///< Some 300 bytes each; new ones beyond are refused.
    Duration idle_max = minutes(5);
  };
  explicit DeltaAccumulator(Options options) : options_(options) {}

  enum class Outcome : unsigned char {
    kAdded,     ///< The point holds the sum now.
    kRepeated,  ///< A point of that time was added before: the point holds the sum as it is.
    kLate,      ///< Older than what was added already: unchanged.
    kFull,      ///< There is no room for another stream: unchanged.
  };
  /// `stream` names metric and labels. Buckets of another layout begin a new sum.
  Outcome add(const std::string& stream, OtlpKind kind, OtlpPoint& point, Timestamp now);

  void collect(MetricWriter& out) const;

 private:
  struct Stream {
    OtlpPoint sum;
    OtlpKind kind = OtlpKind::kNone;
    Timestamp heard;
  };
  void forget_silent(Timestamp now) REQUIRES_LOCK(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, Stream> streams_ GUARDED_BY(mutex_);
  Timestamp swept_ GUARDED_BY(mutex_) = kMinTimestamp;
  Counter late_;
  Counter refused_;
};

}  // namespace tarsier::ingest
