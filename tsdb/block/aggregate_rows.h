#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"
#include "tsdb/resolution.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// A downsampled series: a row for every window (n r, (n + 1) r] of one resolution r that has a
/// sample, at the time of the window's last sample. Where a stale marker was last, a row of count 0
/// with nothing but the marker as kLast follows. What belongs together stands at the same index.
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

/// Appends the rows of `samples`. What is not a number counts, and makes its window's sum one that
/// is not; extremes and counters pass over it.
void aggregate_samples(const SampleColumns& samples, Duration resolution, AggregateRows& rows);

struct AggregateReading {
  AggregateUse use = AggregateUse::kLast;
  Duration resolution;
  /// Whoever reads looks at whole windows only: one sample at the row's time says all.
  bool is_whole = false;
  /// No two samples may be further apart inside a window that has some, or a reader looking back
  /// that far would find nothing.
  Duration spacing = minutes(4);
};

/// Which columns that takes, as a bit each.
std::uint32_t columns_of(AggregateUse use);

/// Appends samples within `range` that stand for the rows, of which some may be context: the last
/// value and extremes repeat within their window, sums are spread over it, counts become as many
/// samples, counters rise evenly from row to row, averages weigh by their counts.
void expand_rows(const AggregateRows& rows, const AggregateReading& reading, TimeRange range,
                 SampleColumns& out);

}  // namespace tarsier::tsdb
