#include "query/functions/classic_histogram.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void merge_equal_bounds(std::vector<ClassicBucket>& buckets) {
  std::size_t last = 0;
  for (std::size_t i = 1; i < buckets.size(); ++i) {
    if (buckets[i].bound == buckets[last].bound) {
      buckets[last].count += buckets[i].count;
    } else {
      buckets[++last] = buckets[i];
    }
  }
  buckets.resize(last + 1);
}

void make_monotonic(std::vector<ClassicBucket>& buckets, BucketFix& fix) {
  constexpr double kRoundingTolerance = 1e-12;
  double previous = buckets.front().count;
  for (std::size_t i = 1; i < buckets.size(); ++i) {
    double& count = buckets[i].count;
    if (count == previous) continue;
    if (almost_equal(previous, count, kRoundingTolerance)) {
      count = previous;
      continue;
    }
    if (count < previous) {
      const double bound = buckets[i].bound;
      fix.bound_min = fix.is_needed ? std::min(fix.bound_min, bound) : bound;
      fix.bound_max = fix.is_needed ? std::max(fix.bound_max, bound) : bound;
      fix.difference_max = std::max(fix.difference_max, previous - count);
      fix.is_needed = true;
      count = previous;
      continue;
    }
    previous = count;
  }
}

}  // namespace

double classic_quantile(double phi, std::vector<ClassicBucket>& buckets, BucketFix& fix) {
  if (std::isnan(phi)) return normal_nan();
  if (phi < 0) return -kInfinity;
  if (phi > 1) return kInfinity;
  if (buckets.empty() || buckets.back().bound != kInfinity) return normal_nan();
  merge_equal_bounds(buckets);
  make_monotonic(buckets, fix);
  if (buckets.size() < 2) return normal_nan();
  const std::size_t last = buckets.size() - 1;
  const double total = buckets[last].count;
  if (total == 0) return normal_nan();
  double rank = phi * total;
  const auto found =
      std::find_if(buckets.begin(), buckets.end() - 1,
                   [&](const ClassicBucket& bucket) { return bucket.count >= rank; });
  const auto b = static_cast<std::size_t>(found - buckets.begin());
  if (b == last) return buckets[last - 1].bound;
  if (b == 0 && buckets[0].bound <= 0) return buckets[0].bound;
  double start = 0;
  double count = buckets[b].count;
  if (b > 0) {
    start = buckets[b - 1].bound;
    count -= buckets[b - 1].count;
    rank -= buckets[b - 1].count;
  }
  return start + (buckets[b].bound - start) * (rank / count);
}

double classic_fraction(double lower, double upper, std::vector<ClassicBucket>& buckets) {
  if (buckets.empty() || buckets.back().bound != kInfinity) return normal_nan();
  merge_equal_bounds(buckets);
  const double total = buckets.back().count;
  if (total == 0 || std::isnan(lower) || std::isnan(upper)) return normal_nan();
  if (lower >= upper) return 0;
  // How many observations lie below x; buckets that fall may hold more than there are in all.
  const auto capped_rank = [total](double rank) { return rank > total ? total : rank; };
  const auto rank_of = [&](double x) {
    double below = 0;
    double start = buckets.front().bound > 0 ? 0 : -kInfinity;
    for (const ClassicBucket& bucket : buckets) {
      if (x <= start) return below;
      if (x < bucket.bound) {
        if (start == -kInfinity) return bucket.count;
        if (bucket.bound == kInfinity) return below;
        return below + (bucket.count - below) * (x - start) / (bucket.bound - start);
      }
      below = bucket.count;
      start = bucket.bound;
    }
    return total;
  };
  return (capped_rank(rank_of(upper)) - capped_rank(rank_of(lower))) / total;
}

bool parse_bound(std::string_view text, double& bound) {
  std::string lower;
  for (const char c : text) {
    lower += static_cast<char>('A' <= c && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  std::string_view digits = lower;
  double sign = 1;
  if (!digits.empty() && (digits.front() == '+' || digits.front() == '-')) {
    sign = digits.front() == '-' ? -1 : 1;
    digits.remove_prefix(1);
  }
  if (digits == "inf" || digits == "infinity") {
    bound = sign * kInfinity;
    return true;
  }
  if (digits == "nan") {
    bound = normal_nan();
    return digits.size() == text.size();
  }
  auto format = std::chars_format::general;
  if (digits.starts_with("0x")) {
    if (digits.find('p') == std::string_view::npos) return false;
    format = std::chars_format::hex;
    digits.remove_prefix(2);
  }
  if (digits.empty() || (digits.front() != '.' && (digits.front() < '0' || digits.front() > '9') &&
                         format == std::chars_format::general)) {
    return false;
  }
  double v = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), v, format);
  if (error != std::errc() || end != digits.data() + digits.size()) return false;
  bound = sign * v;
  return true;
}

}  // namespace tarsier::query
