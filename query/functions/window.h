#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "query/exec/row.h"

namespace tarsier::query {

/// The samples of one series, stale markers removed, times strictly increasing. Borrowed.
struct Column {
  std::span<const std::int64_t> times_ms;
  std::span<const double> values;
  std::size_t size() const { return times_ms.size(); }
};

/// The windows of a range selector, one per step: (end - range, end], left-open, in milliseconds.
/// The ends are the steps moved by offset, or all the same under `@`.
struct Windows {
  std::int64_t first_end_ms = 0;
  std::int64_t stride_ms = 0;  ///< Not negative.
  std::int64_t range_ms = 0;
  std::size_t count = 0;
  // How far beyond its edges samples are loaded: anchored and smoothed selectors look there.
  std::int64_t before_ms = 0;
  std::int64_t after_ms = 0;

  std::int64_t end_ms(std::size_t k) const {
    return first_end_ms + static_cast<std::int64_t>(k) * stride_ms;
  }
  std::int64_t start_ms(std::size_t k) const { return end_ms(k) - range_ms; }
};

/// What a range function is given beside its window: one value per step, or null.
struct KernelArguments {
  const double* first = nullptr;
  const double* second = nullptr;
  Grid grid;  ///< The steps' own times.
};

/// Computes one row: `out[k]` from the samples in window k, absent where the function has no value.
using RangeKernel = void (*)(const Column&, const Windows&, const KernelArguments&, double* out);

/// The first position from `from` on whose time is later than `limit`. Windows of a row mostly move
/// by as many samples as the one before did: that is tried first, so that a step costs two looks
/// and not one for each sample passed.
inline std::size_t position_after(std::span<const std::int64_t> times_ms, std::size_t from,
                                  std::int64_t limit, std::size_t& moved) {
  std::size_t at = std::min(from + moved, times_ms.size());
  while (at > from && times_ms[at - 1] > limit) --at;
  while (at < times_ms.size() && times_ms[at] <= limit) ++at;
  moved = at - from;
  return at;
}

/// The positions [first, last) of the samples in a window. Windows are visited in order, so both
/// ends only move forward: the whole row costs one pass over the column at most.
struct WindowBounds {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t first_moved = 0;  ///< At the last step.
  std::size_t last_moved = 0;

  std::size_t size() const { return last - first; }
  void move_to(const Column& column, const Windows& windows, std::size_t k) {
    const std::int64_t end = windows.end_ms(k);
    last = position_after(column.times_ms, last, end, last_moved);
    first =
        std::min(last, position_after(column.times_ms, first, end - windows.range_ms, first_moved));
  }
};

/// Calls `value(k, first, last)` for each window with at least `count_min` samples.
template <std::size_t count_min = 1, typename F>
void for_each_window(const Column& column, const Windows& windows, double* out, F&& value) {
  WindowBounds bounds;
  for (std::size_t k = 0; k < windows.count; ++k) {
    bounds.move_to(column, windows, k);
    out[k] = bounds.size() < count_min ? absent_value() : value(k, bounds.first, bounds.last);
  }
}

}  // namespace tarsier::query
