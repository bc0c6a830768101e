#pragma once

#include <cstddef>
#include <span>

#include "tsdb/histogram.h"

namespace tarsier::query {

/// A native histogram that lies somewhere else: in a FloatHistogram or in a row of columns. What
/// all arithmetic takes, so that reading columns copies nothing. Borrowed.
struct HistogramView {
  const tsdb::BucketLayout* layout;
  tsdb::CounterResetHint hint;
  double count;
  double zero_count;
  double sum;
  std::span<const double> positive;
  std::span<const double> negative;
};

inline HistogramView view_of(const tsdb::FloatHistogram& h) {
  return {&h.layout, h.hint, h.count, h.zero_count, h.sum, h.positive_counts, h.negative_counts};
}

inline HistogramView view_of(const tsdb::HistogramColumns& columns, std::size_t i) {
  return {&columns.layout_of(i),     columns.hints[i], columns.counts[i],
          columns.zero_counts[i],    columns.sums[i],  columns.positive_counts(i),
          columns.negative_counts(i)};
}

/// Copies into `to`, reusing its memory.
inline void assign(tsdb::FloatHistogram& to, const HistogramView& from) {
  if (&to.layout != from.layout) to.layout = *from.layout;
  to.hint = from.hint;
  to.count = from.count;
  to.zero_count = from.zero_count;
  to.sum = from.sum;
  to.positive_counts.assign(from.positive.begin(), from.positive.end());
  to.negative_counts.assign(from.negative.begin(), from.negative.end());
}

}  // namespace tarsier::query
