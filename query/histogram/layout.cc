#include "query/histogram/layout.h"

#include <algorithm>
#include <vector>

#include "query/histogram/buckets.h"

namespace tarsier::query {
namespace {

using tsdb::BucketLayout;
using tsdb::BucketSpan;
using tsdb::FloatHistogram;

using Indices = std::vector<std::int64_t>;

/// Whether a bucket is swallowed by the wider zero bucket of `to`. A bucket that reaches into the
/// zero bucket beside which it was counted stays where it is.
bool is_in_zero_bucket(const BucketLayout& from, std::int64_t index, const BucketLayout& to) {
  return from.zero_threshold < to.zero_threshold &&
         upper_bound(from, index - 1) < to.zero_threshold;
}

/// Appends where the buckets of one side go, in ascending order.
void list_indices(const BucketLayout& from, const std::vector<BucketSpan>& spans,
                  std::span<const double> counts, const BucketLayout& to, Indices& out) {
  for_each_index(spans, counts, [&](std::int64_t index, double) {
    if (is_in_zero_bucket(from, index, to)) return;
    const std::int64_t moved = index_in(from, index, to);
    if (out.empty() || out.back() != moved) out.push_back(moved);
  });
}

void spans_of(const Indices& indices, std::vector<BucketSpan>& spans) {
  spans.clear();
  std::int64_t next = 0;  // The index right behind the last span.
  for (const std::int64_t index : indices) {
    if (spans.empty() || index != next) {
      spans.push_back({static_cast<std::int32_t>(index - (spans.empty() ? 0 : next)), 0});
    }
    ++spans.back().length;
    next = index + 1;
  }
}

void unite_spans(const BucketLayout& from_a, const std::vector<BucketSpan>& spans_a,
                 std::span<const double> counts_a, const BucketLayout& from_b,
                 const std::vector<BucketSpan>& spans_b, std::span<const double> counts_b,
                 const BucketLayout& to, std::vector<BucketSpan>& out) {
  thread_local Indices a;
  thread_local Indices b;
  thread_local Indices both;
  a.clear();
  b.clear();
  both.clear();
  list_indices(from_a, spans_a, counts_a, to, a);
  list_indices(from_b, spans_b, counts_b, to, b);
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  spans_of(both, out);
}

/// Adds the counts of one side to `to`; what the zero bucket swallows is added to `zero_count`.
void move_side(const BucketLayout& from, const std::vector<BucketSpan>& from_spans,
               std::span<const double> from_counts, const BucketLayout& target,
               const std::vector<BucketSpan>& to_spans, std::vector<double>& to,
               double& zero_count) {
  to.assign(tsdb::bucket_count(to_spans), 0);
  std::size_t span = 0;
  std::int64_t begin = to_spans.empty() ? 0 : to_spans.front().offset;  // Of the span.
  std::size_t before = 0;                                               // Buckets of earlier spans.
  for_each_index(from_spans, from_counts, [&](std::int64_t index, double count) {
    if (is_in_zero_bucket(from, index, target)) {
      zero_count += count;
      return;
    }
    const std::int64_t moved = index_in(from, index, target);
    while (span < to_spans.size() && moved >= begin + to_spans[span].length) {
      before += to_spans[span].length;
      begin += to_spans[span].length;
      if (++span < to_spans.size()) begin += to_spans[span].offset;
    }
    if (span < to_spans.size() && moved >= begin) {
      to[before + static_cast<std::size_t>(moved - begin)] += count;
    }
  });
}

/// Widens both zero buckets until they are equal.
double common_threshold(const HistogramView& a, const HistogramView& b) {
  double threshold = std::max(a.layout->zero_threshold, b.layout->zero_threshold);
  while (true) {
    const double first = wider_zero_bucket(a, threshold).threshold;
    const double second = wider_zero_bucket(b, first).threshold;
    if (!(second > threshold)) return threshold;
    threshold = second;
  }
}

}  // namespace

void intersect_bounds(const std::vector<double>& a, const std::vector<double>& b,
                      std::vector<double>& out) {
  out.clear();
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
}

std::int64_t index_in(const BucketLayout& from, std::int64_t index, const BucketLayout& to) {
  if (!from.is_custom()) {
    const int shift = std::min(from.schema - to.schema, 62);
    return shift <= 0 ? index : ((index - 1) >> shift) + 1;
  }
  const double upper = upper_bound(from, index);
  const auto found = std::lower_bound(to.custom_bounds.begin(), to.custom_bounds.end(), upper);
  return found - to.custom_bounds.begin();
}

ZeroBucket wider_zero_bucket(const HistogramView& h, double threshold) {
  const BucketLayout& layout = *h.layout;
  if (!(threshold > layout.zero_threshold)) return {h.zero_count, layout.zero_threshold};
  thread_local std::vector<BucketPlace> places;
  list_buckets(h, places);
  // A populated bucket that would be cut moves the threshold, which may cut another one.
  for (bool is_moved = true; is_moved;) {
    is_moved = false;
    for (const BucketPlace& place : places) {
      if (place.side == BucketPlace::Side::kZero) continue;
      const double outer = upper_bound(layout, place.index);
      if (upper_bound(layout, place.index - 1) < threshold && outer > threshold) {
        threshold = outer;
        is_moved = true;
      }
    }
  }
  double count = h.zero_count;
  for (const BucketPlace& place : places) {
    if (place.side == BucketPlace::Side::kZero) continue;
    if (upper_bound(layout, place.index - 1) < threshold) count += place.count;
  }
  return {count, threshold};
}

Reconciliation common_layout(const HistogramView& a, const HistogramView& b, BucketLayout& target) {
  const BucketLayout& l = *a.layout;
  const BucketLayout& r = *b.layout;
  if (l.is_custom() != r.is_custom()) return Reconciliation::kIncompatible;
  Reconciliation reconciliation = Reconciliation::kNone;
  target.schema = std::min(l.schema, r.schema);
  target.custom_bounds.clear();
  target.zero_threshold = 0;
  if (!l.is_custom()) {
    target.zero_threshold = common_threshold(a, b);
  } else if (l.custom_bounds == r.custom_bounds) {
    target.custom_bounds = l.custom_bounds;
  } else {
    intersect_bounds(l.custom_bounds, r.custom_bounds, target.custom_bounds);
    reconciliation = Reconciliation::kCustomBounds;
  }
  unite_spans(l, l.positive_spans, a.positive, r, r.positive_spans, b.positive, target,
              target.positive_spans);
  unite_spans(l, l.negative_spans, a.negative, r, r.negative_spans, b.negative, target,
              target.negative_spans);
  return reconciliation;
}

void move_to_layout(const HistogramView& from, const BucketLayout& target, FloatHistogram& to) {
  to.layout = target;
  to.hint = from.hint;
  to.count = from.count;
  to.sum = from.sum;
  to.zero_count = from.zero_count;
  move_side(*from.layout, from.layout->positive_spans, from.positive, target, target.positive_spans,
            to.positive_counts, to.zero_count);
  move_side(*from.layout, from.layout->negative_spans, from.negative, target, target.negative_spans,
            to.negative_counts, to.zero_count);
}

void reduce_resolution(FloatHistogram& h, std::int32_t schema) {
  if (h.layout.schema <= schema) return;
  BucketLayout target;
  target.schema = schema;
  target.zero_threshold = h.layout.zero_threshold;
  Indices indices;
  list_indices(h.layout, h.layout.positive_spans, h.positive_counts, target, indices);
  spans_of(indices, target.positive_spans);
  indices.clear();
  list_indices(h.layout, h.layout.negative_spans, h.negative_counts, target, indices);
  spans_of(indices, target.negative_spans);
  FloatHistogram reduced;
  move_to_layout(view_of(h), target, reduced);
  h = std::move(reduced);
}

void compact(FloatHistogram& h) {
  const auto compact_side = [](std::vector<BucketSpan>& spans, std::vector<double>& counts) {
    const bool is_empty_somewhere = std::find(counts.begin(), counts.end(), 0.0) != counts.end();
    bool is_canonical = !is_empty_somewhere;
    for (std::size_t i = 0; i < spans.size() && is_canonical; ++i) {
      is_canonical = spans[i].length > 0 && (i == 0 || spans[i].offset > 0);
    }
    if (is_canonical) return;
    thread_local Indices indices;
    indices.clear();
    std::size_t kept = 0;
    // Reads ahead of what it writes.
    for_each_index(spans, counts, [&](std::int64_t index, double count) {
      if (count == 0) return;
      indices.push_back(index);
      counts[kept++] = count;
    });
    counts.resize(kept);
    spans_of(indices, spans);
  };
  compact_side(h.layout.positive_spans, h.positive_counts);
  compact_side(h.layout.negative_spans, h.negative_counts);
}

}  // namespace tarsier::query
