#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>

namespace tarsier::tracing::traceql {

/// A histogram whose bounds grow by 2^(1/16): quantiles are off by at most 4.4 %, in whatever range
/// the values are. Zero and less share one bucket.
class ExponentialBuckets final {
 public:
  /// Of one bucket, with what the map has around it.
  static constexpr std::size_t kBucketBytes = 64;

  void add(double v) {
    ++total_;
    ++counts_[index_of(v)];
  }
  /// Whether add() of this value takes no more memory.
  bool has_bucket_of(double v) const { return counts_.contains(index_of(v)); }
  /// Interpolated between the bounds of the bucket the quantile falls in, in the logarithm; NaN
  /// without values.
  double quantile(double q) const {
    if (total_ == 0) return std::numeric_limits<double>::quiet_NaN();
    const double wanted = std::max(1.0, std::ceil(q * static_cast<double>(total_)));
    double before = 0;
    for (const auto& [index, count] : counts_) {
      const auto n = static_cast<double>(count);
      if (before + n < wanted) {
        before += n;
        continue;
      }
      if (index == kZero) return 0;
      const double share = (wanted - before) / n;
      return std::exp2((static_cast<double>(index) - 1 + share) / kPerPower);
    }
    return 0;
  }

 private:
  static constexpr double kPerPower = 16;
  static constexpr std::int32_t kZero = std::numeric_limits<std::int32_t>::min();
  static std::int32_t index_of(double v) {
    if (!(v > 0)) return kZero;
    return static_cast<std::int32_t>(std::ceil(std::log2(v) * kPerPower));
  }

  std::map<std::int32_t, std::uint64_t> counts_;
  std::uint64_t total_ = 0;
};

}  // namespace tarsier::tracing::traceql
