#pragma once

#include <cstdint>
#include <string>

#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::tsdb {

/// What background work on blocks (compaction, sealing, downsampling, retention) is about.
struct MaintenanceStatus {
  bool is_paused = false;
  std::string work;  ///< What is being done; empty while nothing is.
  Timestamp since;   ///< When that began.
  std::uint64_t series_done =
      0;                    ///< Of the block being made; 0 where the work does not count them.
  std::uint64_t steps = 0;  ///< Pieces of work finished since the start.
  double seconds = 0;       ///< What they took together.
};

/// Lets an operator see and stop background work, and keeps it within its share of the time: after
/// a piece that took t, work rests for t (100 - p) / p. Cutting the head goes on meanwhile. Steered
/// from any thread, `begin`, `end` and `rest` from the maintenance thread.
class Maintenance final {
 public:
  /// 1 to 100.
  explicit Maintenance(std::uint64_t percent) : percent_(percent) {}

  /// What is being done is finished first.
  void pause();
  void resume();
  MaintenanceStatus status() const;
  /// One more series is in the block being made. From the thread that makes it.
  void count_series();

  /// How long no work may begin; `elapsed_seconds` only grow.
  Duration rest(double elapsed_seconds) const;
  void begin(std::string work, Timestamp now, double elapsed_seconds);
  /// `did_work`: there was something to do.
  void end(bool did_work, double elapsed_seconds);
  void collect(MetricWriter& out) const;

 private:
  const std::uint64_t percent_;
  double began_ = 0;  // Of the maintenance thread, as the next.
  double rests_until_ = 0;
  mutable Mutex mutex_;
  MaintenanceStatus status_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
