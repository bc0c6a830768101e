#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tarsier::query {

enum class Extrapolation : unsigned char { kRate, kIncrease, kDelta };

inline double to_seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

/// How far the change seen between the samples `first` and `last` is stretched to the window's
/// edges. `first_value` and `change` are values, or counts of histograms.
template <Extrapolation kind>
double stretch(std::span<const std::int64_t> times_ms, std::int64_t start_ms, std::int64_t end_ms,
               std::size_t first, std::size_t last, double first_value, double change) {
  const double sampled = to_seconds(times_ms[last] - times_ms[first]);
  const double average = sampled / static_cast<double>(last - first);
  const double threshold = average * 1.1;
  double to_start = to_seconds(times_ms[first] - start_ms);
  double to_end = to_seconds(end_ms - times_ms[last]);
  if (to_start >= threshold) to_start = average / 2;
  if constexpr (kind != Extrapolation::kDelta) {
    // A counter cannot have been below zero before its first sample.
    if (change > 0 && first_value >= 0) {
      const double to_zero = sampled * (first_value / change);
      if (to_zero < to_start) to_start = to_zero;
    }
  }
  if (to_end >= threshold) to_end = average / 2;
  return sampled == 0 ? 1 : (sampled + to_start + to_end) / sampled;
}

}  // namespace tarsier::query
