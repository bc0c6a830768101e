#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tsdb/histogram.h"

namespace tarsier::tracing {

/// Which buckets a histogram of durations has.
struct LatencyBuckets {
  /// Upper bounds of the classic buckets, ascending, without +Inf; empty: no classic histogram.
  std::vector<double> bounds;
  bool has_native = false;
};

/// Weighted observations as a classic and a native histogram, both exact: weights are added as they
/// are, never rounded. Native buckets begin at schema 3 (9 % wide) and are halved in resolution
/// whenever there would be more than 160. One thread at a time.
class LatencyHistogram final {
 public:
  static constexpr std::int32_t kSchemaFirst = 3;
  static constexpr std::size_t kNativeBucketsMax = 160;

  /// `buckets` outlives this and does not change.
  explicit LatencyHistogram(const LatencyBuckets& buckets)
      : buckets_(&buckets), counts_(buckets.bounds.size() + 1) {}

  /// `v` ≥ 0, in the unit of the bounds.
  void observe(double v, double weight);
  double count() const { return count_; }
  double sum() const { return sum_; }
  /// Observations at or below each bound, then all of them.
  void append_cumulative(std::vector<double>& out) const;
  tsdb::FloatHistogram native() const;
  /// The classic bucket an observation falls into; bounds.size() is +Inf.
  std::size_t bucket_of(double v) const;

 private:
  void observe_native(double v, double weight);
  void halve();

  const LatencyBuckets* buckets_;
  std::vector<double> counts_;  // Each bucket for itself.
  double count_ = 0;
  double sum_ = 0;
  std::int32_t schema_ = kSchemaFirst;
  double zero_count_ = 0;
  std::vector<std::pair<std::int32_t, double>> native_;  // By index, ascending.
};

}  // namespace tarsier::tracing
