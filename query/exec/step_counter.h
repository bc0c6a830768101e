#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "query/exec/row.h"
#include "query/functions/window.h"
#include "query/value.h"

namespace tarsier::query {

/// Counts for every step of a query how many samples it could look at (`queryable`) and how many it
/// had to read that the step before had not (`read`). Kept only for queries that ask: it costs a
/// second look at what was read. What is read inside a subquery counts for the first step at or
/// after it. Any number of threads.
class StepCounter final {
 public:
  explicit StepCounter(Grid grid);

  /// One series' samples under the windows of a range selector, evaluated on `steps`.
  void add_windows(std::span<const std::int64_t> times_ms, const Windows& windows,
                   const Grid& steps);
  /// One series of an instant selector: every step with a value has looked at one sample.
  void add_row(const double* row, const Grid& steps);

  /// Moves the counts to where they are told. Once, when the query is done.
  void take(QueryStatistics& statistics);

 private:
  std::size_t step_of(std::int64_t time_ms) const;

  const Grid grid_;
  Mutex mutex_;
  std::vector<std::uint64_t> queryable_ GUARDED_BY(mutex_);
  std::vector<std::uint64_t> read_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::query
