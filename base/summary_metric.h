#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"

namespace tarsier {

/// A summary as Prometheus' own components expose them: sum and count since the start, quantiles of
/// the last ten minutes. Quantiles come from buckets that grow by 4 %, so they are right within 2 %
/// between a nanosecond and a day; what lies outside counts as the nearest of these. Any number of
/// threads.
class SummaryMetric final {
 public:
  SummaryMetric();
  /// `v` in the unit of the metric, seconds as a rule.
  void observe(double v, Timestamp now);
  /// NaN when nothing was observed in the last ten minutes.
  double quantile(double q, Timestamp now) const;
  double sum() const;
  std::uint64_t count() const;

 private:
  static constexpr std::size_t kWindowCount = 5;
  struct Window {
    std::int64_t number = -1;  ///< Which two minutes since the epoch it holds.
    std::vector<std::uint32_t> counts;
  };

  mutable Mutex mutex_;
  std::array<Window, kWindowCount> windows_ GUARDED_BY(mutex_);
  double sum_ GUARDED_BY(mutex_) = 0;
  std::uint64_t count_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tarsier
