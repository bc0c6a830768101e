#pragma once

#include "query/histogram/view.h"

namespace tarsier::query {

// Numbers a histogram answers with.

/// What is remarkable about an answer: observations of NaN, which are counted but in no bucket.
enum class NanFinding : unsigned char {
  kNone,
  kResultIsNan,   ///< The quantile lies among them.
  kSkewedHigher,  ///< They count as greater than everything.
  kExcluded,      ///< They are in no fraction.
};

struct Answer {
  double value = 0;
  NanFinding finding = NanFinding::kNone;
};

/// The φ-quantile. Within a bucket interpolated logarithmically, in custom and zero buckets
/// linearly.
Answer histogram_quantile(double phi, const HistogramView& h);
/// The share of observations between two limits.
Answer histogram_fraction(double lower, double upper, const HistogramView& h);
/// The variance of the observations, each taken to be in the middle of its bucket.
double histogram_variance(const HistogramView& h);

}  // namespace tarsier::query
