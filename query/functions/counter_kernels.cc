#include "query/functions/counter_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "query/functions/extrapolation.h"

namespace tarsier::query {
namespace {

/// Where the value fell: positions i with values[i] < values[i - 1].
void find_resets(std::span<const double> values, std::vector<std::size_t>& resets) {
  resets.clear();
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] < values[i - 1]) resets.push_back(i);
  }
}

template <Extrapolation kind>
void extrapolate(const Column& column, const Windows& windows, double* out) {
  thread_local std::vector<std::size_t> resets;
  resets.clear();
  if constexpr (kind != Extrapolation::kDelta) find_resets(column.values, resets);
  std::size_t reset = 0;  // The first one after the window's first sample.
  const double range_s = to_seconds(windows.range_ms);
  for_each_window<2>(column, windows, out, [&](std::size_t k, std::size_t first, std::size_t end) {
    const std::size_t last = end - 1;
    double change = column.values[last] - column.values[first];
    if constexpr (kind != Extrapolation::kDelta) {
      while (reset < resets.size() && resets[reset] <= first) ++reset;
      for (std::size_t r = reset; r < resets.size() && resets[r] <= last; ++r) {
        change += column.values[resets[r] - 1];
      }
    }
    const std::int64_t end_ms = windows.end_ms(k);
    double factor = stretch<kind>(column.times_ms, end_ms - windows.range_ms, end_ms, first, last,
                                  column.values[first], change);
    if constexpr (kind == Extrapolation::kRate) factor /= range_s;
    return change * factor;
  });
}

/// Counts pairs of neighbours inside each window: `is_hit(previous, current)`.
template <typename F>
void count_pairs(const Column& column, const Windows& windows, double* out, F&& is_hit) {
  thread_local std::vector<std::uint32_t> hits_until;  // Pairs that end at or before sample i.
  hits_until.resize(column.size());
  std::uint32_t hits = 0;
  for (std::size_t i = 0; i < column.size(); ++i) {
    if (i > 0 && is_hit(column.values[i - 1], column.values[i])) ++hits;
    hits_until[i] = hits;
  }
  for_each_window(column, windows, out, [&](std::size_t, std::size_t first, std::size_t last) {
    return static_cast<double>(hits_until[last - 1] - hits_until[first]);
  });
}

}  // namespace

void rate_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                 double* out) {
  extrapolate<Extrapolation::kRate>(column, windows, out);
}

void increase_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                     double* out) {
  extrapolate<Extrapolation::kIncrease>(column, windows, out);
}

void delta_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                  double* out) {
  extrapolate<Extrapolation::kDelta>(column, windows, out);
}

void irate_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                  double* out) {
  for_each_window<2>(column, windows, out, [&](std::size_t, std::size_t, std::size_t last) {
    const double current = column.values[last - 1];
    const double previous = column.values[last - 2];
    const double change = current < previous ? current : current - previous;
    return change / to_seconds(column.times_ms[last - 1] - column.times_ms[last - 2]);
  });
}

void idelta_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                   double* out) {
  for_each_window<2>(column, windows, out, [&](std::size_t, std::size_t, std::size_t last) {
    return column.values[last - 1] - column.values[last - 2];
  });
}

void resets_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                   double* out) {
  count_pairs(column, windows, out,
              [](double previous, double current) { return current < previous; });
}

void changes_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                    double* out) {
  count_pairs(column, windows, out, [](double previous, double current) {
    return current != previous && !(std::isnan(current) && std::isnan(previous));
  });
}

}  // namespace tarsier::query
