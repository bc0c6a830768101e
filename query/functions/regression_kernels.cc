#include "query/functions/regression_kernels.h"

#include <algorithm>
#include <cmath>

#include "query/functions/compensated.h"
#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

struct Line {
  double slope = 0;
  double intercept = 0;
};

/// Least squares over samples [first, last), x in seconds since `origin_ms`.
Line fit(const Column& column, std::size_t first, std::size_t last, std::int64_t origin_ms) {
  CompensatedSum sum_x;
  CompensatedSum sum_y;
  CompensatedSum sum_xy;
  CompensatedSum sum_x2;
  const double first_y = column.values[first];
  bool is_constant = true;
  for (std::size_t i = first; i < last; ++i) {
    const double y = column.values[i];
    const double x = static_cast<double>(column.times_ms[i] - origin_ms) / 1000;
    if (i > first && y != first_y) is_constant = false;
    sum_x.add(x);
    sum_y.add(y);
    sum_xy.add(x * y);
    sum_x2.add(x * x);
  }
  if (is_constant) {
    if (std::isinf(first_y)) return {normal_nan(), normal_nan()};
    return {0, first_y};
  }
  const double n = static_cast<double>(last - first);
  const double x = sum_x.sum + sum_x.error;
  const double y = sum_y.sum + sum_y.error;
  const double covariance = (sum_xy.sum + sum_xy.error) - x * y / n;
  const double variance = (sum_x2.sum + sum_x2.error) - x * x / n;
  const double slope = covariance / variance;
  return {slope, y / n - slope * x / n};
}

}  // namespace

void deriv_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                  double* out) {
  for_each_window<2>(column, windows, out, [&](std::size_t, std::size_t first, std::size_t last) {
    return fit(column, first, last, column.times_ms[first]).slope;
  });
}

void predict_linear_kernel(const Column& column, const Windows& windows,
                           const KernelArguments& arguments, double* out) {
  for_each_window<2>(column, windows, out, [&](std::size_t k, std::size_t first, std::size_t last) {
    const Line line = fit(column, first, last, arguments.grid.time_ms(k));
    return line.slope * arguments.first[k] + line.intercept;
  });
}

void double_exponential_smoothing_kernel(const Column& column, const Windows& windows,
                                         const KernelArguments& arguments, double* out) {
  for_each_window<2>(column, windows, out, [&](std::size_t k, std::size_t first, std::size_t last) {
    const double smoothing = arguments.first[k];
    const double trend_factor = arguments.second[k];
    double previous = 0;
    double smoothed = column.values[first];
    double trend = column.values[first + 1] - column.values[first];
    for (std::size_t i = first + 1; i < last; ++i) {
      if (i > first + 1) {
        trend = trend_factor * (smoothed - previous) + (1 - trend_factor) * trend;
      }
      const double next = smoothing * column.values[i] + (1 - smoothing) * (smoothed + trend);
      previous = smoothed;
      smoothed = next;
    }
    return smoothed;
  });
}

}  // namespace tarsier::query
