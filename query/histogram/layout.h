#pragma once

#include "query/histogram/view.h"

namespace tarsier::query {

// Two histograms can be added bucket by bucket once they have the same layout: the coarser of their
// schemas, a zero bucket as wide as both need, the buckets of either; or the custom bounds they
// share.

enum class Reconciliation : unsigned char {
  kNone,          ///< Nothing that loses anything a user asked for.
  kCustomBounds,  ///< Bounds only one of them had were given up.
  kIncompatible,  ///< One is exponential and one custom.
};

/// The layout that fits both, in `target`. What it is depends on which buckets are populated: a
/// zero bucket never ends inside a populated one.
Reconciliation common_layout(const HistogramView& a, const HistogramView& b,
                             tsdb::BucketLayout& target);

/// Moves the counts of `from` into a layout that fits it (as common_layout gives), in `to`, which
/// must not be `from`. Count, sum and hint come along.
void move_to_layout(const HistogramView& from, const tsdb::BucketLayout& target,
                    tsdb::FloatHistogram& to);

/// `h` with the coarser `schema`. REQUIRES: exponential.
void reduce_resolution(tsdb::FloatHistogram& h, std::int32_t schema);

/// The count of a zero bucket that reaches at least to `threshold`, and how far it must reach so
/// that it cuts no populated bucket.
struct ZeroBucket {
  double count;
  double threshold;
};
ZeroBucket wider_zero_bucket(const HistogramView& h, double threshold);

/// Removes empty buckets, and joins the spans that then meet.
void compact(tsdb::FloatHistogram& h);

/// The bounds both have.
void intersect_bounds(const std::vector<double>& a, const std::vector<double>& b,
                      std::vector<double>& out);

/// Where a bucket of one layout lies in another.
std::int64_t index_in(const tsdb::BucketLayout& from, std::int64_t index,
                      const tsdb::BucketLayout& to);

}  // namespace tarsier::query
