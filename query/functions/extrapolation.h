#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tarsier::query {

enum class Extrapolation : unsigned char { kRate, kIncrease, kDelta };

inline double to_seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

/// How far the change seen in a window is stretched to its edges: `sampled` is the time from its
/// first sample to its last, in which there are `pairs` of neighbours, the others from there to the
/// edges, all in seconds. No branches. `Real` is a double, or several side by side.
template <Extrapolation kind, typename Real>
inline Real stretch_factor(Real sampled, Real to_start, Real to_end, Real pairs, Real first_value,
                           Real change) {
  const Real one = Real{} + 1.0;
  const Real average = sampled / pairs;
  const Real threshold = average * 1.1;
  const Real half = average / 2.0;
  to_start = to_start >= threshold ? half : to_start;
  if constexpr (kind != Extrapolation::kDelta) {
    // A counter cannot have been below zero before its first sample.
    const Real to_zero = sampled * (first_value / change);
    const auto is_near = (change > 0.0) & (first_value >= 0.0) & (to_zero < to_start);
    to_start = is_near ? to_zero : to_start;
  }
  to_end = to_end >= threshold ? half : to_end;
  const Real factor = (sampled + to_start + to_end) / sampled;
  return sampled == 0.0 ? one : factor;
}

/// The same between the samples `first` and `last`. `first_value` and `change` are values, or
/// counts of histograms.
template <Extrapolation kind>
double stretch(std::span<const std::int64_t> times_ms, std::int64_t start_ms, std::int64_t end_ms,
               std::size_t first, std::size_t last, double first_value, double change) {
  return stretch_factor<kind>(
      to_seconds(times_ms[last] - times_ms[first]), to_seconds(times_ms[first] - start_ms),
      to_seconds(end_ms - times_ms[last]), static_cast<double>(last - first), first_value, change);
}

}  // namespace tarsier::query
