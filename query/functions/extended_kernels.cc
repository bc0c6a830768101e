#include "query/functions/extended_kernels.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace tarsier::query {
namespace {

enum class Reading : unsigned char { kGauge, kCounter };

/// The value at `t_ms` on the line from sample i to the next one. A counter that fell was reset to
/// zero in between.
double interpolate(const Column& column, std::size_t i, std::int64_t t_ms, Reading reading) {
  const double y2 = column.values[i + 1];
  const double y1 = reading == Reading::kCounter && y2 < column.values[i] ? 0 : column.values[i];
  const double share = static_cast<double>(t_ms - column.times_ms[i]) /
                       static_cast<double>(column.times_ms[i + 1] - column.times_ms[i]);
  return y1 + (y2 - y1) * share;
}

struct Edges {
  double left;
  double right;
};

using Span = ExtendedSpan;

Edges edges_of(Extension extension, const Column& column, const Windows& windows, std::size_t k,
               const Span& span, Reading reading) {
  Edges edges{column.values[span.first], column.values[span.last]};
  if (extension != Extension::kSmoothed) return edges;
  const std::int64_t start = windows.start_ms(k);
  const std::int64_t end = windows.end_ms(k);
  if (column.times_ms[span.first] < start) {
    edges.left = interpolate(column, span.first, start, reading);
  }
  if (span.last > 0 && column.times_ms[span.last] > end) {
    edges.right = interpolate(column, span.last - 1, end, reading);
  }
  return edges;
}

enum class Unit : unsigned char { kTotal, kPerSecond };

template <Extension extension, Reading reading, Unit unit>
void change_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                   double* out) {
  for (std::size_t k = 0; k < windows.count; ++k) {
    out[k] = absent_value();
    const std::optional<Span> span = extended_span(extension, column, windows, k);
    if (!span) continue;
    const Edges edges = edges_of(extension, column, windows, k, *span, reading);
    double change = edges.right - edges.left;
    if constexpr (reading == Reading::kCounter) {
      double previous = edges.left;
      for (std::size_t i = span->first; i <= span->last; ++i) {
        const std::int64_t t = column.times_ms[i];
        if (t <= windows.start_ms(k) || t >= windows.end_ms(k)) continue;
        if (column.values[i] < previous) change += previous;
        previous = column.values[i];
      }
      if (edges.right < previous) change += previous;
    }
    if constexpr (unit == Unit::kPerSecond) change /= static_cast<double>(windows.range_ms) / 1000;
    out[k] = change;
  }
}

/// Counts pairs from the anchor on: `is_hit(previous, current)`.
template <typename F>
void count_pairs(const Column& column, const Windows& windows, double* out, F&& is_hit) {
  for (std::size_t k = 0; k < windows.count; ++k) {
    out[k] = absent_value();
    const std::optional<Span> span = extended_span(Extension::kAnchored, column, windows, k);
    if (!span) continue;
    double hits = 0;
    for (std::size_t i = span->first + 1; i <= span->last; ++i) {
      if (is_hit(column.values[i - 1], column.values[i])) hits += 1;
    }
    out[k] = hits;
  }
}

void anchored_resets(const Column& column, const Windows& windows, const KernelArguments&,
                     double* out) {
  count_pairs(column, windows, out, [](double a, double b) { return b < a; });
}

void anchored_changes(const Column& column, const Windows& windows, const KernelArguments&,
                      double* out) {
  count_pairs(column, windows, out,
              [](double a, double b) { return a != b && !(std::isnan(a) && std::isnan(b)); });
}

template <Extension extension>
RangeKernel kernel_of(FunctionId function) {
  switch (function) {
    case FunctionId::kRate: return change_kernel<extension, Reading::kCounter, Unit::kPerSecond>;
    case FunctionId::kIncrease: return change_kernel<extension, Reading::kCounter, Unit::kTotal>;
    case FunctionId::kDelta: return change_kernel<extension, Reading::kGauge, Unit::kTotal>;
    default: return nullptr;
  }
}

}  // namespace

std::optional<ExtendedSpan> extended_span(Extension extension, const Column& column,
                                          const Windows& windows, std::size_t k) {
  const std::int64_t start = windows.start_ms(k);
  const std::int64_t end = windows.end_ms(k);
  const auto times = column.times_ms;
  const auto position = [&](auto it) { return static_cast<std::size_t>(it - times.begin()); };
  const std::size_t loaded =
      position(std::upper_bound(times.begin(), times.end(), start - windows.before_ms));
  const std::size_t loaded_end =
      position(std::upper_bound(times.begin(), times.end(), end + windows.after_ms));
  if (loaded == loaded_end) return std::nullopt;
  const std::size_t after_start = position(std::upper_bound(times.begin(), times.end(), start));
  ExtendedSpan span{after_start > loaded ? after_start - 1 : loaded, loaded_end - 1};
  if (extension == Extension::kSmoothed) {
    const std::size_t at_end = position(std::lower_bound(times.begin(), times.end(), end));
    span.last = std::min(at_end, span.last);
    if (times[span.first] > end) return std::nullopt;
  }
  if (times[span.last] <= start) return std::nullopt;
  return span;
}

RangeKernel extended_kernel(Extension extension, FunctionId function) {
  if (extension == Extension::kSmoothed) return kernel_of<Extension::kSmoothed>(function);
  if (function == FunctionId::kResets) return anchored_resets;
  if (function == FunctionId::kChanges) return anchored_changes;
  return kernel_of<Extension::kAnchored>(function);
}

void smoothed_instant_kernel(const Column& column, const Windows& windows, const KernelArguments&,
                             double* out) {
  const auto times = column.times_ms;
  for (std::size_t k = 0; k < windows.count; ++k) {
    out[k] = absent_value();
    const std::int64_t t = windows.end_ms(k);
    const auto next =
        static_cast<std::size_t>(std::upper_bound(times.begin(), times.end(), t) - times.begin());
    if (next == 0 || times[next - 1] <= windows.start_ms(k)) continue;
    const bool is_between =
        times[next - 1] < t && next < column.size() && times[next] <= t + windows.after_ms;
    out[k] =
        is_between ? interpolate(column, next - 1, t, Reading::kGauge) : column.values[next - 1];
  }
}

tsdb::SampleColumns extended_points(Extension extension, const Column& column,
                                    const Windows& windows) {
  tsdb::SampleColumns points;
  if (extension == Extension::kSmoothed && column.size() > 0 &&
      column.times_ms.front() > windows.end_ms(0)) {
    // Functions have no value here; the bare samples of Prometheus begin with what comes later.
    points.push_back(Timestamp{windows.start_ms(0)}, column.values.front());
    points.push_back(Timestamp{windows.end_ms(0)}, column.values.front());
    return points;
  }
  const std::optional<Span> span = extended_span(extension, column, windows, 0);
  if (!span) return points;
  const Edges edges = edges_of(extension, column, windows, 0, *span, Reading::kGauge);
  points.push_back(Timestamp{windows.start_ms(0)}, edges.left);
  for (std::size_t i = span->first; i <= span->last; ++i) {
    const std::int64_t t = column.times_ms[i];
    if (t > windows.start_ms(0) && t < windows.end_ms(0)) {
      points.push_back(Timestamp{t}, column.values[i]);
    }
  }
  points.push_back(Timestamp{windows.end_ms(0)}, edges.right);
  return points;
}

}  // namespace tarsier::query
