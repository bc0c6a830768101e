#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "tsdb/sample.h"

namespace tarsier::query {

/// The NaN that computations give.
inline double normal_nan() { return std::bit_cast<double>(tsdb::kNormalNanBits); }

// Go's min and max: NaN wins over everything but the infinity that nothing can pass, and +0 is
// above -0. (std::fmin and std::fmax ignore NaN.)

inline double go_max(double a, double b) {
  if (std::isinf(a) && a > 0) return a;
  if (std::isinf(b) && b > 0) return b;
  if (std::isnan(a) || std::isnan(b)) return normal_nan();
  if (a == 0 && b == 0) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
inline double go_min(double a, double b) {
  if (std::isinf(a) && a < 0) return a;
  if (std::isinf(b) && b < 0) return b;
  if (std::isnan(a) || std::isnan(b)) return normal_nan();
  if (a == 0 && b == 0) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

/// Whether two values differ by rounding only: relative difference below `tolerance`; around zero
/// they must be equal. NaN equals NaN, the stale marker only itself.
bool almost_equal(double a, double b, double tolerance);

/// Two digits at most, as Go's %.2g has it: "0.12", "1.2e+06".
std::string two_digit_number(double v);

}  // namespace tarsier::query
