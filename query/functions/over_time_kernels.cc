#include "query/functions/over_time_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "query/functions/compensated.h"
#include "query/functions/numbers.h"
#include "query/functions/quantile.h"

namespace tarsier::query {
namespace {

double to_seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

/// Finds the position of each window's extreme value. Positions whose value can still become the
/// extreme wait in a queue, best first; `beats(newer, older)` says when the older one never will.
/// NaN is only ever the answer of a window that holds nothing else, and then the newest.
template <typename Beats, typename Value>
void slide_extreme(const Column& column, const Windows& windows, double* out, Beats&& beats,
                   Value&& value) {
  thread_local std::vector<std::size_t> queue;
  queue.clear();
  std::size_t head = 0;
  std::size_t seen = 0;
  for_each_window(column, windows, out, [&](std::size_t, std::size_t first, std::size_t last) {
    for (seen = std::max(seen, first); seen < last; ++seen) {
      const double v = column.values[seen];
      if (std::isnan(v)) continue;
      while (queue.size() > head && beats(v, column.values[queue.back()])) queue.pop_back();
      queue.push_back(seen);
    }
    while (head < queue.size() && queue[head] < first) ++head;
    return value(head < queue.size() ? queue[head] : last - 1);
  });
}

template <typename Accumulator, typename F>
void fold_windows(const Column& column, const Windows& windows, double* out, F&& finish) {
  for_each_window(column, windows, out, [&](std::size_t, std::size_t first, std::size_t last) {
    Accumulator accumulator;
    for (std::size_t i = first; i < last; ++i) accumulator.add(column.values[i]);
    return finish(accumulator);
  });
}

/// Welford's variance with both of its running values compensated.
struct CompensatedDeviations {
  double count = 0;
  CompensatedSum mean;
  CompensatedSum squares;

  void add(double x) {
    count += 1;
    const double delta = x - (mean.sum + mean.error);
    mean.add(delta / count);
    squares.add(delta * (x - (mean.sum + mean.error)));
  }
  double variance() const { return (squares.sum + squares.error) / count; }
};

}  // namespace

void count_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                  double* out) {
  for_each_window(column, windows, out, [](std::size_t, std::size_t first, std::size_t last) {
    return static_cast<double>(last - first);
  });
}

void present_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                    double* out) {
  for_each_window(column, windows, out, [](std::size_t, std::size_t, std::size_t) { return 1.0; });
}

void first_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                  double* out) {
  for_each_window(column, windows, out, [&](std::size_t, std::size_t first, std::size_t) {
    return column.values[first];
  });
}

void last_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                 double* out) {
  for_each_window(column, windows, out, [&](std::size_t, std::size_t, std::size_t last) {
    return column.values[last - 1];
  });
}

void time_of_first_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                          double* out) {
  for_each_window(column, windows, out, [&](std::size_t, std::size_t first, std::size_t) {
    return to_seconds(column.times_ms[first]);
  });
}

void time_of_last_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                         double* out) {
  for_each_window(column, windows, out, [&](std::size_t, std::size_t, std::size_t last) {
    return to_seconds(column.times_ms[last - 1]);
  });
}

void sum_kernel(const Column& column, const Windows& windows, const KernelArguments&, double* out) {
  fold_windows<CompensatedSum>(column, windows, out,
                               [](const CompensatedSum& sum) { return sum.value(); });
}

void avg_kernel(const Column& column, const Windows& windows, const KernelArguments&, double* out) {
  fold_windows<CompensatedMean>(column, windows, out,
                                [](const CompensatedMean& mean) { return mean.value(); });
}

void min_kernel(const Column& column, const Windows& windows, const KernelArguments&, double* out) {
  slide_extreme(
      column, windows, out, [](double newer, double older) { return newer < older; },
      [&](std::size_t i) { return column.values[i]; });
}

void max_kernel(const Column& column, const Windows& windows, const KernelArguments&, double* out) {
  slide_extreme(
      column, windows, out, [](double newer, double older) { return newer > older; },
      [&](std::size_t i) { return column.values[i]; });
}

void time_of_min_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                        double* out) {
  slide_extreme(
      column, windows, out, [](double newer, double older) { return newer <= older; },
      [&](std::size_t i) { return to_seconds(column.times_ms[i]); });
}

void time_of_max_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                        double* out) {
  slide_extreme(
      column, windows, out, [](double newer, double older) { return newer >= older; },
      [&](std::size_t i) { return to_seconds(column.times_ms[i]); });
}

void stdvar_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                   double* out) {
  fold_windows<CompensatedDeviations>(column, windows, out,
                                      [](const CompensatedDeviations& d) { return d.variance(); });
}

void stddev_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                   double* out) {
  fold_windows<CompensatedDeviations>(
      column, windows, out, [](const CompensatedDeviations& d) { return std::sqrt(d.variance()); });
}

void quantile_kernel(const Column& column, const Windows& windows, const KernelArguments& arguments,
                     double* out) {
  thread_local std::vector<double> sorted;
  sorted.clear();
  std::size_t begin = 0;  // `sorted` holds the values at [begin, end).
  std::size_t end = 0;
  for_each_window(column, windows, out, [&](std::size_t k, std::size_t first, std::size_t last) {
    if (first >= end || last - end > 64) {
      sorted.assign(column.values.begin() + static_cast<std::ptrdiff_t>(first),
                    column.values.begin() + static_cast<std::ptrdiff_t>(last));
      std::sort(sorted.begin(), sorted.end(), quantile_less);
    } else {
      for (; begin < first; ++begin) {
        sorted.erase(
            std::lower_bound(sorted.begin(), sorted.end(), column.values[begin], quantile_less));
      }
      for (; end < last; ++end) {
        const double v = column.values[end];
        sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), v, quantile_less), v);
      }
    }
    begin = first;
    end = last;
    return quantile_of_sorted(arguments.first[k], sorted);
  });
}

void mad_kernel(const Column& column, const Windows& windows, const KernelArguments&, double* out) {
  thread_local std::vector<double> values;
  for_each_window(column, windows, out, [&](std::size_t, std::size_t first, std::size_t last) {
    values.assign(column.values.begin() + static_cast<std::ptrdiff_t>(first),
                  column.values.begin() + static_cast<std::ptrdiff_t>(last));
    if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) {
      return normal_nan();
    }
    const double median = quantile_of(0.5, values);
    for (double& v : values) v = std::fabs(v - median);
    return quantile_of(0.5, values);
  });
}

}  // namespace tarsier::query
