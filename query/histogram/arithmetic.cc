#include "query/histogram/arithmetic.h"

#include <bit>
#include <vector>

#include "query/histogram/buckets.h"

namespace tarsier::query {
namespace {

using tsdb::BucketLayout;
using tsdb::BucketSpan;
using tsdb::CounterResetHint;
using tsdb::FloatHistogram;

template <typename F>
void for_each_field(FloatHistogram& h, F&& change) {
  change(h.count);
  change(h.sum);
  change(h.zero_count);
  for (double& v : h.positive_counts) change(v);
  for (double& v : h.negative_counts) change(v);
}

/// Fields of equal layouts.
template <typename F>
void combine_fields(FloatHistogram& to, const HistogramView& h, F&& op) {
  to.count = op(to.count, h.count);
  to.sum = op(to.sum, h.sum);
  to.zero_count = op(to.zero_count, h.zero_count);
  for (std::size_t i = 0; i < to.positive_counts.size(); ++i) {
    to.positive_counts[i] = op(to.positive_counts[i], h.positive[i]);
  }
  for (std::size_t i = 0; i < to.negative_counts.size(); ++i) {
    to.negative_counts[i] = op(to.negative_counts[i], h.negative[i]);
  }
}

template <typename F>
Combination combine(FloatHistogram& to, const HistogramView& h, F&& op) {
  Combination result;
  if (to.layout == *h.layout) {
    to.hint = merge_hints(to.hint, h.hint, result.hints_collide);
    combine_fields(to, h, op);
    return result;
  }
  BucketLayout target;
  const Reconciliation reconciliation = common_layout(view_of(to), h, target);
  if (reconciliation == Reconciliation::kIncompatible) {
    result.is_compatible = false;
    return result;
  }
  result.is_reconciled = reconciliation == Reconciliation::kCustomBounds;
  to.hint = merge_hints(to.hint, h.hint, result.hints_collide);
  FloatHistogram moved;
  if (!(to.layout == target)) {
    move_to_layout(view_of(to), target, moved);
    std::swap(to, moved);
  }
  move_to_layout(h, target, moved);
  combine_fields(to, view_of(moved), op);
  return result;
}

struct IndexedCount {
  std::int64_t index;
  double count;
};
using IndexedCounts = std::vector<IndexedCount>;

/// The buckets of one side as they are in layout `to`; those its zero bucket covers left out.
void list_counts(const BucketLayout& from, std::span<const BucketSpan> spans,
                 std::span<const double> counts, const BucketLayout& to, IndexedCounts& out) {
  out.clear();
  for_each_index(spans, counts, [&](std::int64_t index, double count) {
    if (!from.is_custom() && upper_bound(from, index) <= to.zero_threshold) return;
    const std::int64_t moved = index_in(from, index, to);
    if (!out.empty() && out.back().index == moved) {
      out.back().count += count;
    } else {
      out.push_back({moved, count});
    }
  });
}

/// Whether a bucket of `previous` is higher than the same one now, or populated (with less than
/// nothing, too) and gone.
bool has_fallen(const IndexedCounts& current, const IndexedCounts& previous) {
  std::size_t next = 0;
  for (const IndexedCount& p : previous) {
    while (next < current.size() && current[next].index < p.index) ++next;
    const bool is_here = next < current.size() && current[next].index == p.index;
    if (is_here ? current[next].count < p.count : p.count != 0) return true;
    if (is_here) ++next;
  }
  return false;
}

bool has_fallen(const HistogramView& current, const HistogramView& previous,
                const BucketLayout& layout) {
  thread_local IndexedCounts now;
  thread_local IndexedCounts before;
  list_counts(*current.layout, current.layout->positive_spans, current.positive, layout, now);
  list_counts(*previous.layout, previous.layout->positive_spans, previous.positive, layout, before);
  if (has_fallen(now, before)) return true;
  list_counts(*current.layout, current.layout->negative_spans, current.negative, layout, now);
  list_counts(*previous.layout, previous.layout->negative_spans, previous.negative, layout, before);
  return has_fallen(now, before);
}

bool is_same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

bool are_equal_counts(const IndexedCounts& a, const IndexedCounts& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].index != b[i].index || !is_same_bits(a[i].count, b[i].count)) return false;
  }
  return true;
}

void list_populated(std::span<const BucketSpan> spans, std::span<const double> counts,
                    IndexedCounts& out) {
  out.clear();
  for_each_index(spans, counts, [&](std::int64_t index, double count) {
    if (count != 0) out.push_back({index, count});
  });
}

}  // namespace

CounterResetHint merge_hints(CounterResetHint a, CounterResetHint b, bool& collide) {
  if (a == b) return a;
  if (a == CounterResetHint::kGauge || b == CounterResetHint::kGauge) {
    return CounterResetHint::kGauge;
  }
  // What remains and is known on both sides is a reset and its opposite.
  if (a != CounterResetHint::kUnknown && b != CounterResetHint::kUnknown) collide = true;
  return CounterResetHint::kUnknown;
}

Combination add(FloatHistogram& to, const HistogramView& h) {
  return combine(to, h, [](double a, double b) { return a + b; });
}

Combination subtract(FloatHistogram& from, const HistogramView& h) {
  return combine(from, h, [](double a, double b) { return a - b; });
}

void multiply(FloatHistogram& h, double factor) {
  for_each_field(h, [factor](double& v) { v *= factor; });
  if (factor < 0) h.hint = CounterResetHint::kGauge;
}

void divide(FloatHistogram& h, double divisor) {
  for_each_field(h, [divisor](double& v) { v /= divisor; });
  if (divisor == 0) {
    h.layout.positive_spans.clear();
    h.layout.negative_spans.clear();
    h.positive_counts.clear();
    h.negative_counts.clear();
  } else if (divisor < 0) {
    h.hint = CounterResetHint::kGauge;
  }
}

bool is_equal(const HistogramView& a, const HistogramView& b) {
  if (a.layout->schema != b.layout->schema || !is_same_bits(a.count, b.count) ||
      !is_same_bits(a.sum, b.sum) || !is_same_bits(a.zero_count, b.zero_count) ||
      a.layout->zero_threshold != b.layout->zero_threshold ||
      a.layout->custom_bounds != b.layout->custom_bounds) {
    return false;
  }
  thread_local IndexedCounts left;
  thread_local IndexedCounts right;
  list_populated(a.layout->positive_spans, a.positive, left);
  list_populated(b.layout->positive_spans, b.positive, right);
  if (!are_equal_counts(left, right)) return false;
  list_populated(a.layout->negative_spans, a.negative, left);
  list_populated(b.layout->negative_spans, b.negative, right);
  return are_equal_counts(left, right);
}

bool is_reset(const HistogramView& current, const HistogramView& previous) {
  if (current.hint == CounterResetHint::kReset) return true;
  if (current.hint == CounterResetHint::kNotReset) return false;
  if (current.count < previous.count) return true;
  const BucketLayout& now = *current.layout;
  const BucketLayout& before = *previous.layout;
  if (now.is_custom() && before.is_custom() && now.custom_bounds != before.custom_bounds) {
    BucketLayout common;
    common.schema = tsdb::kCustomBucketsSchema;
    intersect_bounds(now.custom_bounds, before.custom_bounds, common.custom_bounds);
    return has_fallen(current, previous, common);
  }
  // Finer, or another kind of buckets.
  if (now.schema > before.schema || now.is_custom() != before.is_custom()) return true;
  if (now.zero_threshold < before.zero_threshold) return true;
  const ZeroBucket zero = wider_zero_bucket(previous, now.zero_threshold);
  if (zero.threshold != now.zero_threshold) return true;  // It cuts a populated bucket.
  if (current.zero_count < zero.count) return true;
  if (current.positive.size() == previous.positive.size() &&
      current.negative.size() == previous.negative.size() && now == before) {
    for (std::size_t i = 0; i < current.positive.size(); ++i) {
      if (current.positive[i] < previous.positive[i]) return true;
    }
    for (std::size_t i = 0; i < current.negative.size(); ++i) {
      if (current.negative[i] < previous.negative[i]) return true;
    }
    return false;
  }
  return has_fallen(current, previous, now);
}

void make_empty(FloatHistogram& to, const HistogramView& h) {
  to = FloatHistogram();
  to.layout.schema = h.layout->schema;
  to.layout.custom_bounds = h.layout->custom_bounds;
}

Interpolation interpolate(const HistogramView& a, const HistogramView& b, double share,
                          Reading reading, FloatHistogram& out) {
  Interpolation result;
  assign(out, b);
  if (reading == Reading::kCounter && is_reset(b, a)) {
    multiply(out, share);
    return result;
  }
  result.subtraction = subtract(out, a);
  if (!result.subtraction.is_compatible) return result;
  multiply(out, share);
  result.addition = add(out, a);
  return result;
}

}  // namespace tarsier::query
