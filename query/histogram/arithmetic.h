#pragma once

#include "query/histogram/layout.h"
#include "query/histogram/view.h"

namespace tarsier::query {

// What operators and range functions compute with whole histograms. Counts may become negative or
// fractional on the way: only stored histograms are valid ones.

/// How an addition or subtraction went.
struct Combination {
  bool is_compatible = true;   ///< Otherwise nothing was changed: exponential met custom buckets.
  bool is_reconciled = false;  ///< Custom bounds that only one had were given up.
  bool hints_collide = false;  ///< One is known to follow a reset and the other known not to.
};

/// The hint of what two histograms give together.
tsdb::CounterResetHint merge_hints(tsdb::CounterResetHint a, tsdb::CounterResetHint b,
                                   bool& collide);

/// to += h. Buckets that were missing are inserted, resolutions and zero buckets reconciled.
Combination add(tsdb::FloatHistogram& to, const HistogramView& h);
/// from -= h; counts may fall below zero.
Combination subtract(tsdb::FloatHistogram& from, const HistogramView& h);

/// Every count and the sum times `factor`; a negative one makes a gauge of it.
void multiply(tsdb::FloatHistogram& h, double factor);
/// Divided by `divisor`. By zero no buckets are left.
void divide(tsdb::FloatHistogram& h, double divisor);

/// Bit by bit, but for empty buckets and the hint, which say nothing about observations.
bool is_equal(const HistogramView& a, const HistogramView& b);

/// Whether a counter was reset between `previous` and `current`: by the hint, or because anything
/// but the sum went down.
bool is_reset(const HistogramView& current, const HistogramView& previous);

/// An empty histogram with the resolution of `h`.
void make_empty(tsdb::FloatHistogram& to, const HistogramView& h);

/// The histogram at `share` (0 to 1) of the way from `a` to `b`; of a counter that was reset in
/// between, `share` of what `b` counted. Made by a subtraction and an addition.
enum class Reading : unsigned char { kGauge, kCounter };
struct Interpolation {
  Combination subtraction;
  Combination addition;
};
Interpolation interpolate(const HistogramView& a, const HistogramView& b, double share,
                          Reading reading, tsdb::FloatHistogram& out);

}  // namespace tarsier::query
