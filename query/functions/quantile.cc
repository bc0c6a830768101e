#include "query/functions/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "query/functions/numbers.h"

namespace tarsier::query {

double quantile_of_sorted(double phi, std::span<const double> sorted) {
  if (sorted.empty() || std::isnan(phi)) return normal_nan();
  if (phi < 0) return -std::numeric_limits<double>::infinity();
  if (phi > 1) return std::numeric_limits<double>::infinity();
  const double n = static_cast<double>(sorted.size());
  const double rank = phi * (n - 1);
  const double lower = std::max(0.0, std::floor(rank));
  const double upper = std::min(n - 1, lower + 1);
  const double weight = rank - std::floor(rank);
  return sorted[static_cast<std::size_t>(lower)] * (1 - weight) +
         sorted[static_cast<std::size_t>(upper)] * weight;
}

double quantile_of(double phi, std::span<double> values) {
  if (values.empty() || std::isnan(phi) || phi < 0 || phi > 1) {
    return quantile_of_sorted(phi, values);
  }
  std::sort(values.begin(), values.end(), quantile_less);
  return quantile_of_sorted(phi, values);
}

}  // namespace tarsier::query
