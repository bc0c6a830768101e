#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::tsdb {

/// How many series there were, by the hour and for a day: what grew is what a user looks for when a
/// head is full. Keeps the biggest metrics of each hour only. Any number of threads.
class SeriesGrowth final {
 public:
  using Counts = std::vector<std::pair<std::string, std::uint64_t>>;
  /// Metrics remembered per hour.
  static constexpr std::size_t kMetricsMax = 1000;

  /// Whether an hour has passed since the last note.
  bool is_due(Timestamp now) const EXCLUDES_LOCK(mutex_);
  /// `metrics` are the biggest ones, in any order.
  void note(Timestamp now, std::uint64_t series_count, std::uint64_t created_count, Counts metrics)
      EXCLUDES_LOCK(mutex_);

  struct Growth {
    Timestamp since = kMaxTimestamp;  ///< Of the oldest note; kMaxTimestamp: nothing is known yet.
    std::uint64_t series_count = 0;   ///< Then.
    std::uint64_t created_count = 0;  ///< Until then, since the start.
    Counts metrics;                   ///< What grew, by how much, the most first.
  };
  /// Compared with the oldest note, a day ago at most. A metric that was not among the biggest then
  /// counts as new.
  Growth growth(const Counts& metrics) const EXCLUDES_LOCK(mutex_);

 private:
  struct Note {
    Timestamp at;
    std::uint64_t series_count;
    std::uint64_t created_count;
    std::map<std::string, std::uint64_t, std::less<>> metrics;
  };
  mutable Mutex mutex_;
  std::deque<Note> notes_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
