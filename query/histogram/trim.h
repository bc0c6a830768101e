#pragma once

#include "query/histogram/buckets.h"

namespace tarsier::query {

/// `h </ limit` keeps the observations at or below the limit, `h >/ limit` those at or above. If
/// some are removed, count and sum become those of what is left, the sum an estimate.
enum class TrimSide : unsigned char { kKeepBelow, kKeepAbove };
void trim(tsdb::FloatHistogram& h, double limit, TrimSide side);

/// Which share of a bucket's observations lies below x, which is inside of it.
double share_below(const Bucket& bucket, double x, bool is_linear);

}  // namespace tarsier::query
