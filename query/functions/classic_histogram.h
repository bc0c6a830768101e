#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier::query {

/// One bucket of a classic histogram: how many observations are at or below `bound`.
struct ClassicBucket {
  double bound = 0;
  double count = 0;
};

/// What had to be corrected because a bucket held less than the one below it.
struct BucketFix {
  bool is_needed = false;
  double bound_min = 0;
  double bound_max = 0;
  double difference_max = 0;
};

/// The φ-quantile, interpolated linearly inside its bucket. `buckets` are sorted by bound, and are
/// changed: equal bounds merged, counts made monotonic.
double classic_quantile(double phi, std::vector<ClassicBucket>& buckets, BucketFix& fix);

/// The share of observations between `lower` and `upper`. `buckets` as above; equal bounds are
/// merged.
double classic_fraction(double lower, double upper, std::vector<ClassicBucket>& buckets);

/// A number as Go's strconv.ParseFloat reads it ("0.5", "1e3", "+Inf", "0x1p-2"), or nothing.
bool parse_bound(std::string_view text, double& bound);

}  // namespace tarsier::query
