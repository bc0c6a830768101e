#include "query/functions/counter_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "query/functions/extrapolation.h"

namespace tarsier::query {
namespace {

/// Whether the value falls anywhere. No early end: so it is one pass without branches.
bool falls(std::span<const double> values) {
  std::uint64_t count = 0;
  for (std::size_t i = 1; i < values.size(); ++i) count += values[i] < values[i - 1] ? 1 : 0;
  return count > 0;
}

/// Where the value fell: positions i with values[i] < values[i - 1].
void find_resets(std::span<const double> values, std::vector<std::size_t>& resets) {
  resets.clear();
  if (!falls(values)) return;
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] < values[i - 1]) resets.push_back(i);
  }
}

/// What of each window its extrapolation depends on, for some steps: finding the samples is one
/// loop, and the arithmetic another, in which two steps are computed at a time.
struct Changes {
  static constexpr std::size_t kSteps = 64;
  using Row = std::array<double, kSteps>;
  Row pairs;  ///< Of neighbours in the window; 0: it has no value.
  Row sampled_ms;
  Row to_start_ms;
  Row to_end_ms;
  Row first_value;
  Row change;
};

/// Two doubles the processor computes with at once. Compilers do not make them of the plain loop,
/// as comparisons of NaN might trap.
using TwoDoubles __attribute__((vector_size(16))) = double;

TwoDoubles two_at(const Changes::Row& row, std::size_t k) {
  const TwoDoubles two = {row[k], row[k + 1]};
  return two;
}

/// The arithmetic of `stretch` for the first `count` steps.
template <Extrapolation kind>
void stretch_all(Changes& changes, std::size_t count, double range_s, double* out) {
  const double absent = absent_value();
  const TwoDoubles two_absent = {absent, absent};
  if (count % 2 != 0) changes.pairs[count] = 0;
  for (std::size_t k = 0; k < count; k += 2) {
    const TwoDoubles pairs = two_at(changes.pairs, k);
    const TwoDoubles change = two_at(changes.change, k);
    TwoDoubles factor = stretch_factor<kind>(
        two_at(changes.sampled_ms, k) / 1000.0, two_at(changes.to_start_ms, k) / 1000.0,
        two_at(changes.to_end_ms, k) / 1000.0, pairs, two_at(changes.first_value, k), change);
    if constexpr (kind == Extrapolation::kRate) factor /= range_s;
    const TwoDoubles result = pairs == 0.0 ? two_absent : change * factor;
    out[k] = result[0];
    if (k + 1 < count) out[k + 1] = result[1];
  }
}

template <Extrapolation kind>
void extrapolate(const Column& column, const Windows& windows, double* out) {
  thread_local std::vector<std::size_t> resets;
  thread_local Changes changes;
  resets.clear();
  if constexpr (kind != Extrapolation::kDelta) find_resets(column.values, resets);
  const double range_s = to_seconds(windows.range_ms);
  std::size_t reset = 0;  // The first one after the window's first sample.
  WindowBounds bounds;
  for (std::size_t begin = 0; begin < windows.count; begin += Changes::kSteps) {
    const std::size_t count = std::min(Changes::kSteps, windows.count - begin);
    for (std::size_t k = 0; k < count; ++k) {
      bounds.move_to(column, windows, begin + k);
      if (bounds.size() < 2) {
        changes.pairs[k] = 0;
        continue;
      }
      const std::size_t first = bounds.first;
      const std::size_t last = bounds.last - 1;
      const std::int64_t end_ms = windows.end_ms(begin + k);
      double change = column.values[last] - column.values[first];
      if constexpr (kind != Extrapolation::kDelta) {
        while (reset < resets.size() && resets[reset] <= first) ++reset;
        for (std::size_t r = reset; r < resets.size() && resets[r] <= last; ++r) {
          change += column.values[resets[r] - 1];
        }
      }
      const std::int64_t first_ms = column.times_ms[first];
      const std::int64_t last_ms = column.times_ms[last];
      changes.pairs[k] = static_cast<double>(last - first);
      changes.sampled_ms[k] = static_cast<double>(last_ms - first_ms);
      changes.to_start_ms[k] = static_cast<double>(first_ms - (end_ms - windows.range_ms));
      changes.to_end_ms[k] = static_cast<double>(end_ms - last_ms);
      changes.first_value[k] = column.values[first];
      changes.change[k] = change;
    }
    stretch_all<kind>(changes, count, range_s, out + begin);
  }
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
