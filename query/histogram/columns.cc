#include "query/histogram/columns.h"

#include "query/histogram/arithmetic.h"

namespace tarsier::query {

void remove_stale_markers(tsdb::SampleColumns& columns, std::vector<std::int64_t>& starts_ms) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (tsdb::is_stale_marker(columns.values[i])) continue;
    columns.times_ms[kept] = columns.times_ms[i];
    columns.values[kept] = columns.values[i];
    if (!starts_ms.empty()) starts_ms[kept] = starts_ms[i];
    ++kept;
  }
  columns.times_ms.resize(kept);
  columns.values.resize(kept);
  if (!starts_ms.empty()) starts_ms.resize(kept);
}

void remove_stale_markers(tsdb::HistogramColumns& columns, std::vector<std::int64_t>& starts_ms) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns.is_stale(i)) continue;
    if (kept != i) {
      columns.times_ms[kept] = columns.times_ms[i];
      columns.counts[kept] = columns.counts[i];
      columns.zero_counts[kept] = columns.zero_counts[i];
      columns.sums[kept] = columns.sums[i];
      columns.hints[kept] = columns.hints[i];
      columns.layout[kept] = columns.layout[i];
      columns.first_bucket[kept] = columns.first_bucket[i];
      if (!starts_ms.empty()) starts_ms[kept] = starts_ms[i];
    }
    ++kept;
  }
  columns.times_ms.resize(kept);
  columns.counts.resize(kept);
  columns.zero_counts.resize(kept);
  columns.sums.resize(kept);
  columns.hints.resize(kept);
  columns.layout.resize(kept);
  columns.first_bucket.resize(kept);
  if (!starts_ms.empty()) starts_ms.resize(kept);
}

void keep_statistics(tsdb::HistogramColumns& columns) {
  using tsdb::CounterResetHint;
  std::vector<CounterResetHint> hints = columns.hints;
  std::size_t previous = columns.size();  // None yet.
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns.is_stale(i)) continue;
    if (previous < i && hints[i] == CounterResetHint::kUnknown) {
      hints[i] = is_reset(view_of(columns, i), view_of(columns, previous))
                     ? CounterResetHint::kReset
                     : CounterResetHint::kNotReset;
    }
    previous = i;
  }
  columns.hints = std::move(hints);
  for (tsdb::BucketLayout& layout : columns.layouts) {
    const std::int32_t schema = layout.schema;
    layout = tsdb::BucketLayout();
    layout.schema = schema;
  }
  for (double& count : columns.zero_counts) count = 0;
}

}  // namespace tarsier::query
