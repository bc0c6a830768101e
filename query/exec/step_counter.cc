#include "query/exec/step_counter.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tarsier::query {

StepCounter::StepCounter(Grid grid)
    : grid_(grid),
      queryable_(std::max<std::size_t>(grid.count, 1), 0),
      read_(std::max<std::size_t>(grid.count, 1), 0) {}

std::size_t StepCounter::step_of(std::int64_t time_ms) const {
  if (grid_.step_ms <= 0 || time_ms <= grid_.start_ms) return 0;
  const std::int64_t step = (time_ms - grid_.start_ms + grid_.step_ms - 1) / grid_.step_ms;
  return std::min(static_cast<std::size_t>(step), std::max<std::size_t>(grid_.count, 1) - 1);
}

void StepCounter::add_windows(std::span<const std::int64_t> times_ms, const Windows& windows,
                              const Grid& steps) {
  const Column column{times_ms, {}};
  WindowBounds bounds;
  std::size_t seen = 0;
  const MutexLock lock(mutex_);
  for (std::size_t k = 0; k < windows.count; ++k) {
    bounds.move_to(column, windows, k);
    const std::size_t step = step_of(steps.time_ms(k));
    queryable_[step] += bounds.size();
    read_[step] += bounds.last - std::max(bounds.first, std::min(seen, bounds.last));
    seen = std::max(seen, bounds.last);
  }
}

void StepCounter::add_row(const double* row, const Grid& steps) {
  const MutexLock lock(mutex_);
  for (std::size_t k = 0; k < steps.count; ++k) {
    if (is_absent(row[k])) continue;
    const std::size_t step = step_of(steps.time_ms(k));
    ++queryable_[step];
    ++read_[step];
  }
}

void StepCounter::take(QueryStatistics& statistics) {
  const MutexLock lock(mutex_);
  const auto sum = [](const std::vector<std::uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  statistics.samples_queryable = sum(queryable_);
  statistics.samples_read = sum(read_);
  statistics.queryable_per_step = {grid_.start_ms, grid_.step_ms, std::move(queryable_)};
  statistics.read_per_step = {grid_.start_ms, grid_.step_ms, std::move(read_)};
}

}  // namespace tarsier::query
