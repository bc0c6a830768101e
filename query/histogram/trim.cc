#include "query/histogram/trim.h"

#include <cmath>
#include <limits>

#include "query/histogram/layout.h"

namespace tarsier::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What is left of a bucket, and where its observations lie on average.
struct Rest {
  double count;
  double middle;
};

double middle_of(double lower, double upper, bool is_linear, double sign) {
  if (std::isinf(lower)) {
    if (std::isinf(upper)) return 0;
    return upper > 0 ? upper / 2 : upper;
  }
  if (std::isinf(upper)) return lower;
  if (is_linear) return (lower + upper) / 2;
  return sign * std::sqrt(std::fabs(lower * upper));
}

double or_zero(double x) { return std::isinf(x) ? 0 : x; }

/// A bucket without end that contains the limit. Nothing is known about how its observations are
/// spread, except that below a positive bound they are taken to begin at zero.
Rest cut_endless(const Bucket& bucket, double limit, TrimSide side) {
  if (bucket.lower == -kInfinity) {
    const bool can_split = bucket.upper > 0 && bucket.upper < kInfinity;
    if (side == TrimSide::kKeepBelow) {
      if (limit > 0 && can_split) return {bucket.count * limit / bucket.upper, limit / 2};
      if (bucket.upper <= 0) return {bucket.count, limit};
      return {0, or_zero(bucket.upper)};
    }
    if (limit >= 0 && can_split) {
      return {bucket.count * (1 - limit / bucket.upper), (limit + bucket.upper) / 2};
    }
    return {0, or_zero(bucket.upper)};
  }
  if (side == TrimSide::kKeepBelow) return {0, or_zero(bucket.lower)};
  return {bucket.count, limit};
}

Rest cut(const Bucket& bucket, double limit, TrimSide side, bool is_linear, double sign) {
  if (std::isinf(bucket.lower) || std::isinf(bucket.upper)) return cut_endless(bucket, limit, side);
  const double share = share_below(bucket, limit, is_linear);
  const double below = bucket.count * share;
  if (side == TrimSide::kKeepBelow) {
    return {below, middle_of(bucket.lower, limit, is_linear, sign)};
  }
  const double above = std::isinf(bucket.count) ? bucket.count * (1 - share) : bucket.count - below;
  return {above, middle_of(limit, bucket.upper, is_linear, sign)};
}

Rest rest_of(const Bucket& bucket, double limit, TrimSide side, bool is_linear, double sign) {
  const bool keeps_all =
      side == TrimSide::kKeepBelow ? bucket.upper <= limit : bucket.lower >= limit;
  if (keeps_all) {
    return {bucket.count, middle_of(bucket.lower, bucket.upper, is_linear, sign)};
  }
  const bool is_cut = side == TrimSide::kKeepBelow ? bucket.lower < limit : bucket.upper > limit;
  return is_cut ? cut(bucket, limit, side, is_linear, sign) : Rest{0, 0};
}

}  // namespace

double share_below(const Bucket& bucket, double x, bool is_linear) {
  if (is_linear) return (x - bucket.lower) / (bucket.upper - bucket.lower);
  const double lower = std::log2(std::fabs(bucket.lower));
  const double upper = std::log2(std::fabs(bucket.upper));
  const double at = std::log2(std::fabs(x));
  if (bucket.lower > 0) return (at - lower) / (upper - lower);
  return 1 - (at - upper) / (lower - upper);
}

void trim(tsdb::FloatHistogram& h, double limit, TrimSide side) {
  const bool is_custom = h.layout.is_custom();
  double count = 0;
  double sum = 0;
  bool is_trimmed = false;
  const auto keep = [&](double& stored, const Rest& rest) {
    is_trimmed = is_trimmed || stored != rest.count;
    stored = rest.count;
    count += rest.count;
    sum += rest.middle * rest.count;
  };
  const auto trim_side = [&](const std::vector<tsdb::BucketSpan>& spans,
                             std::vector<double>& counts, double sign) {
    bool is_populated = false;
    std::size_t next = 0;
    for_each_index(spans, counts, [&](std::int64_t index, double) {
      double& stored = counts[next++];
      if (stored == 0) return;
      is_populated = true;
      double inner = upper_bound(h.layout, index - 1);
      double outer = upper_bound(h.layout, index);
      const Bucket bucket =
          sign > 0 ? Bucket{inner, outer, stored} : Bucket{-outer, -inner, stored};
      keep(stored, rest_of(bucket, limit, side, is_custom, sign));
    });
    return is_populated;
  };
  const bool has_positive = trim_side(h.layout.positive_spans, h.positive_counts, 1);
  const bool has_negative = trim_side(h.layout.negative_spans, h.negative_counts, -1);
  if (h.zero_count > 0) {
    Bucket zero{-h.layout.zero_threshold, h.layout.zero_threshold, h.zero_count};
    if (has_negative && !has_positive) zero.upper = 0;
    if (has_positive && !has_negative) zero.lower = 0;
    // A limit of NaN is nowhere: it empties other buckets, but what is left of this one is unknown.
    keep(h.zero_count,
         std::isnan(limit) ? cut(zero, limit, side, true, 1) : rest_of(zero, limit, side, true, 1));
  }
  if (!is_trimmed) return;
  h.count = count;
  h.sum = sum;
  compact(h);
}

}  // namespace tarsier::query
