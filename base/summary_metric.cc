#include "base/summary_metric.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tarsier {
namespace {

constexpr double kGrowth = 1.04;
constexpr double kSmallest = 1e-9;
constexpr std::size_t kBucketCount = 822;  // The last one begins at a day.
constexpr std::int64_t kWindowMs = 120'000;

std::size_t bucket_of(double v) {
  if (!(v > kSmallest)) return 0;
  const double position = std::log(v / kSmallest) / std::log(kGrowth);
  return std::min(kBucketCount - 1, static_cast<std::size_t>(position) + 1);
}

double middle_of(std::size_t bucket) {
  if (bucket == 0) return 0;
  return kSmallest * std::pow(kGrowth, static_cast<double>(bucket) - 0.5);
}

}  // namespace

SummaryMetric::SummaryMetric() = default;

void SummaryMetric::observe(double v, Timestamp now) {
  if (std::isnan(v)) return;
  const std::int64_t number = std::max<std::int64_t>(now.ms, 0) / kWindowMs;
  const MutexLock lock(mutex_);
  Window& window = windows_[static_cast<std::size_t>(number) % kWindowCount];
  if (window.number != number) {
    window.number = number;
    window.counts.assign(kBucketCount, 0);
  }
  ++window.counts[bucket_of(v)];
  sum_ += v;
  ++count_;
}

double SummaryMetric::quantile(double q, Timestamp now) const {
  const std::int64_t number = std::max<std::int64_t>(now.ms, 0) / kWindowMs;
  const auto is_recent = [&](const Window& window) {
    return window.number >= 0 && window.number > number - static_cast<std::int64_t>(kWindowCount) &&
           window.number <= number;
  };
  const MutexLock lock(mutex_);
  std::uint64_t total = 0;
  for (const Window& window : windows_) {
    if (!is_recent(window)) continue;
    for (const std::uint32_t n : window.counts) total += n;
  }
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total)));
  const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, total);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBucketCount; ++bucket) {
    for (const Window& window : windows_) {
      if (is_recent(window)) seen += window.counts[bucket];
    }
    if (seen >= rank) return middle_of(bucket);
  }
  return middle_of(kBucketCount - 1);
}

double SummaryMetric::sum() const {
  const MutexLock lock(mutex_);
  return sum_;
}

std::uint64_t SummaryMetric::count() const {
  const MutexLock lock(mutex_);
  return count_;
}

}  // namespace tarsier
