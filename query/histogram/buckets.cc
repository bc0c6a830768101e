#include "query/histogram/buckets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace tarsier::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kFinestSchema = tsdb::kExponentialSchemaMax;

/// 2^(i / 256 - 1) for i < 256: the bounds of the finest schema within [0.5, 1), of which every
/// coarser one takes each 2^nth. To the last bit as Prometheus has them: a product of repeated
/// square roots of 2, of which the first is taken as 1 / sqrt(2) and not as sqrt(2) / 2.
const std::array<double, 1 << kFinestSchema>& fractions() {
  static const auto table = [] {
    std::array<double, 1 << kFinestSchema> out{};
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto has = [i](int n) { return (i >> (kFinestSchema - n) & 1) != 0; };
      double root = std::sqrt(2.0);
      out[i] = has(1) ? 1 / root : 0.5;
      for (int n = 2; n <= kFinestSchema; ++n) {
        root = std::sqrt(root);
        if (has(n)) out[i] *= root;
      }
    }
    return out;
  }();
  return table;
}

double scaled(double fraction, std::int64_t exponent) {
  return std::ldexp(fraction, static_cast<int>(std::clamp<std::int64_t>(exponent, -4000, 4000)));
}

}  // namespace

double exponential_bound(std::int32_t schema, std::int64_t index) {
  // What would be 2^1024 is the largest finite number, so that only the next bucket reaches
  // infinity.
  if (schema < 0) {
    const int shift = std::min(-schema, 30);
    const std::int64_t limit = std::int64_t{4000} >> shift;
    const std::int64_t exponent =
        std::clamp(index, -limit - 1, limit + 1) * (std::int64_t{1} << shift);
    return exponent == 1024 ? std::numeric_limits<double>::max() : scaled(1, exponent);
  }
  const int s = std::min<int>(schema, kFinestSchema);
  const auto position = static_cast<std::size_t>(index & ((std::int64_t{1} << s) - 1));
  const std::int64_t exponent = (index >> s) + 1;
  if (position == 0 && exponent == 1025) return std::numeric_limits<double>::max();
  return scaled(fractions()[position << (kFinestSchema - s)], exponent);
}

double upper_bound(const tsdb::BucketLayout& layout, std::int64_t index) {
  if (!layout.is_custom()) return exponential_bound(layout.schema, index);
  if (index < 0) return -kInfinity;
  const auto i = static_cast<std::size_t>(index);
  return i < layout.custom_bounds.size() ? layout.custom_bounds[i] : kInfinity;
}

void list_buckets(const HistogramView& h, std::vector<BucketPlace>& out) {
  using Side = BucketPlace::Side;
  out.clear();
  for_each_index(h.layout->negative_spans, h.negative, [&](std::int64_t index, double count) {
    if (count != 0) out.push_back({Side::kNegative, index, count});
  });
  std::reverse(out.begin(), out.end());
  if (h.zero_count > 0) out.push_back({Side::kZero, 0, h.zero_count});
  for_each_index(h.layout->positive_spans, h.positive, [&](std::int64_t index, double count) {
    if (count != 0) out.push_back({Side::kPositive, index, count});
  });
}

Bucket bucket_at(const tsdb::BucketLayout& layout, const BucketPlace& place) {
  const double threshold = layout.zero_threshold;
  if (place.side == BucketPlace::Side::kZero) {
    return {-threshold, threshold, place.count, true, true};
  }
  double inner = upper_bound(layout, place.index - 1);
  const double outer = upper_bound(layout, place.index);
  if (layout.is_custom()) return {inner, outer, place.count, place.index == 0, true};
  if (inner < threshold) inner = threshold;
  if (place.side == BucketPlace::Side::kNegative) return {-outer, -inner, place.count, true, false};
  return {inner, outer, place.count, false, true};
}

}  // namespace tarsier::query
