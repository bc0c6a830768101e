#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// A downsampled series: a row for every aligned window of one resolution that has a sample, at the
/// time of the window's last sample. What belongs together stands at the same index.
struct AggregateRows {
  enum Column : std::size_t { kCount, kSum, kMin, kMax, kLast, kPeak, kColumnCount };

  std::vector<std::int64_t> times_ms;
  /// kPeak: the value a counter that is read as this row's kLast after the row before must pass
  /// through for its increase, resets and all, to come out right; 0 if it needs none.
  std::array<std::vector<double>, kColumnCount> columns;

  std::size_t size() const { return times_ms.size(); }
  void clear() {
    times_ms.clear();
    for (auto& column : columns) column.clear();
  }
};

/// Appends the rows of `samples`. Stale markers and other NaNs are left out.
void aggregate_samples(const SampleColumns& samples, Duration resolution, AggregateRows& rows);

/// What a function makes of samples, and so which column it wants.
enum class AggregateUse : unsigned char { kAverage, kMin, kMax, kSum, kCount, kLast, kCounter };

struct AggregateReading {
  AggregateUse use = AggregateUse::kAverage;
  Duration resolution;
  /// No two samples may be further apart inside a window that has some, or a reader looking back
  /// that far would find nothing.
  Duration spacing = minutes(4);
};

/// Appends samples within `range` that stand for the rows from index `first` on, of which some may
/// be context: averages and extremes repeat within their window, sums are spread over it, counts
/// become as many samples, counters rise evenly from row to row.
void expand_rows(const AggregateRows& rows, const AggregateReading& reading, TimeRange range,
                 SampleColumns& out);

}  // namespace tarsier::tsdb
