#include "query/functions/numbers.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/number_text.h"

namespace tarsier::query {

bool almost_equal(double a, double b, double tolerance) {
  if (tsdb::is_stale_marker(a) || tsdb::is_stale_marker(b)) {
    return tsdb::is_stale_marker(a) && tsdb::is_stale_marker(b);
  }
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  const double sum = std::fabs(a) + std::fabs(b);
  const double difference = std::fabs(a - b);
  constexpr double smallest = std::numeric_limits<double>::min();
  if (a == 0 || b == 0 || sum < smallest) return difference < tolerance * smallest;
  return difference / std::min(sum, std::numeric_limits<double>::max()) < tolerance;
}

std::string two_digit_number(double v) {
  return std::isfinite(v) ? fmt::format("{:.2g}", v) : plain_number(v);
}

}  // namespace tarsier::query
