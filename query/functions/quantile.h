#pragma once

#include <span>

namespace tarsier::query {

/// Orders values for quantiles: ascending, NaN before everything.
inline bool quantile_less(double a, double b) { return a < b || (a != a && b == b); }

/// The φ-quantile of values sorted by quantile_less, interpolated linearly between ranks. NaN if
/// there are none or φ is NaN, -Inf below 0, +Inf above 1.
double quantile_of_sorted(double phi, std::span<const double> sorted);
/// The same of values in any order, which are sorted in place.
double quantile_of(double phi, std::span<double> values);

}  // namespace tarsier::query
