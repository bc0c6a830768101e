#include "query/histogram/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "query/functions/compensated.h"
#include "query/functions/numbers.h"
#include "query/histogram/buckets.h"
#include "query/histogram/trim.h"

namespace tarsier::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Observations next to zero are on the side on which the others are.
void lean_to_occupied_side(const HistogramView& h, Bucket& bucket) {
  if (h.negative.empty() && !h.positive.empty()) bucket.lower = 0;
  if (h.positive.empty() && !h.negative.empty()) bucket.upper = 0;
}

double sum_of_counts(const std::vector<BucketPlace>& places) {
  double sum = 0;
  for (const BucketPlace& place : places) sum += place.count;
  return sum;
}

std::vector<BucketPlace>& places_of(const HistogramView& h) {
  thread_local std::vector<BucketPlace> places;
  list_buckets(h, places);
  return places;
}

/// Where a walk over all buckets ends, empty ones among them: what counts below zero may never
/// reach the rank.
Bucket last_bucket(const HistogramView& h, bool is_upward) {
  using Side = BucketPlace::Side;
  const auto far = [&](Side side, std::span<const tsdb::BucketSpan> spans,
                       std::span<const double> counts) {
    std::optional<BucketPlace> place;
    for_each_index(spans, counts, [&](std::int64_t index, double count) {
      place = BucketPlace{side, index, count};
    });
    return place;
  };
  const auto near = [&](Side side, std::span<const tsdb::BucketSpan> spans,
                        std::span<const double> counts) {
    std::optional<BucketPlace> place;
    for_each_index(spans, counts, [&](std::int64_t index, double count) {
      if (!place) place = BucketPlace{side, index, count};
    });
    return place;
  };
  const tsdb::BucketLayout& layout = *h.layout;
  const auto outermost = is_upward ? far(Side::kPositive, layout.positive_spans, h.positive)
                                   : far(Side::kNegative, layout.negative_spans, h.negative);
  if (outermost) return bucket_at(layout, *outermost);
  if (h.zero_count > 0) return bucket_at(layout, {Side::kZero, 0, h.zero_count});
  const auto innermost = is_upward ? near(Side::kNegative, layout.negative_spans, h.negative)
                                   : near(Side::kPositive, layout.positive_spans, h.positive);
  return innermost ? bucket_at(layout, *innermost) : Bucket();
}

/// The value `fraction` of the way through a bucket.
double value_inside(const HistogramView& h, const Bucket& bucket, double fraction) {
  if (h.layout->is_custom() || (bucket.lower <= 0 && bucket.upper >= 0)) {
    return bucket.lower + (bucket.upper - bucket.lower) * fraction;
  }
  const double lower = std::log2(std::fabs(bucket.lower));
  const double upper = std::log2(std::fabs(bucket.upper));
  if (bucket.lower > 0) return std::exp2(lower + (upper - lower) * fraction);
  return -std::exp2(upper + (lower - upper) * (1 - fraction));
}

}  // namespace

Answer histogram_quantile(double phi, const HistogramView& h) {
  if (phi < 0) return {-kInfinity};
  if (phi > 1) return {kInfinity};
  if (h.count == 0 || std::isnan(phi)) return {normal_nan()};
  const bool has_nan_sum = std::isnan(h.sum);
  // Observations of NaN count as the greatest: with them, ranks are right from below only.
  const bool is_upward = has_nan_sum || phi < 0.5;
  double rank = is_upward ? phi * h.count : (1 - phi) * h.count;
  const std::vector<BucketPlace>& places = places_of(h);
  double count = 0;
  const BucketPlace* found = nullptr;
  const auto look_at = [&](const BucketPlace& place) {
    found = &place;
    count += place.count;
    return count >= rank;
  };
  const bool is_reached =
      is_upward ? std::find_if(places.begin(), places.end(), look_at) != places.end()
                : std::find_if(places.rbegin(), places.rend(), look_at) != places.rend();
  Bucket bucket = is_reached ? bucket_at(*h.layout, *found) : last_bucket(h, is_upward);
  if (h.layout->is_custom()) {
    if (bucket.lower == -kInfinity) {
      if (bucket.upper <= 0) return {bucket.upper};
      bucket.lower = 0;
    } else if (bucket.upper == kInfinity) {
      return {bucket.lower};
    }
  } else if (bucket.lower < 0 && bucket.upper > 0) {
    lean_to_occupied_side(h, bucket);
  }
  count = std::min(count, h.count);
  if (count < rank) {
    if (has_nan_sum) return {normal_nan(), NanFinding::kResultIsNan};
    return {bucket.upper};
  }
  rank = is_upward ? rank - (count - bucket.count) : count - rank;
  Answer answer{value_inside(h, bucket, rank / bucket.count)};
  // Without observations of NaN it is infinities of both signs that made the sum one.
  if (has_nan_sum && sum_of_counts(places) < h.count) answer.finding = NanFinding::kSkewedHigher;
  return answer;
}

Answer histogram_fraction(double lower, double upper, const HistogramView& h) {
  if (h.count == 0 || std::isnan(lower) || std::isnan(upper)) return {normal_nan()};
  if (lower >= upper) return {0};
  const std::vector<BucketPlace>& places = places_of(h);
  Answer answer;
  double total = h.count;
  if (std::isnan(h.sum)) {
    total = sum_of_counts(places);
    if (total < h.count) answer.finding = NanFinding::kExcluded;
  }
  // How many observations lie below x.
  const auto rank_of = [&](double x) {
    double below = 0;
    for (const BucketPlace& place : places) {
      Bucket bucket = bucket_at(*h.layout, place);
      const bool touches_zero = bucket.lower <= 0 && bucket.upper >= 0;
      if (touches_zero) lean_to_occupied_side(h, bucket);
      if (bucket.lower >= x) return std::min(below, total);
      if (bucket.upper > x) {
        const bool is_linear = touches_zero || h.layout->is_custom();
        const double rank = bucket.lower == -kInfinity
                                ? bucket.count
                                : below + bucket.count * share_below(bucket, x, is_linear);
        return rank > total ? total : rank;
      }
      below += bucket.count;
    }
    return total;
  };
  const double lower_rank = rank_of(lower);
  answer.value = (rank_of(upper) - lower_rank) / h.count;
  return answer;
}

double histogram_variance(const HistogramView& h) {
  const double mean = h.sum / h.count;
  CompensatedSum squares;
  for (const BucketPlace& place : places_of(h)) {
    const Bucket bucket = bucket_at(*h.layout, place);
    double middle = 0;
    if (h.layout->is_custom()) {
      middle = (bucket.upper + bucket.lower) / 2;
    } else if (bucket.lower <= 0 && bucket.upper >= 0) {
      middle = 0;
    } else {
      middle = std::sqrt(bucket.upper * bucket.lower);
      if (place.side == BucketPlace::Side::kNegative) middle = -middle;
    }
    const double distance = middle - mean;
    squares.add(bucket.count * distance * distance);
  }
  return squares.sum / h.count + squares.error / h.count;
}

}  // namespace tarsier::query
