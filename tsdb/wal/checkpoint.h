#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// What a checkpoint replaces and what it may forget.
struct CheckpointPlan {
  std::uint32_t last_segment = 0;  ///< The checkpoint stands for everything up to here, included.
  Timestamp min_time;              ///< Samples, exemplars and histograms before it are forgotten.
  WalCompression compression = WalCompression::kSnappy;
  std::size_t segment_bytes = std::size_t{128} << 20;
};

struct CheckpointStatistics {
  struct Count {
    std::uint64_t kept = 0;
    std::uint64_t dropped = 0;
  };
  Count series;
  Count samples;
  Count tombstones;
  Count exemplars;
  Count histogram_records;
  std::uint64_t metadata_kept = 0;
  std::uint64_t unknown_records_dropped = 0;
  std::uint64_t bytes = 0;  ///< Size of the checkpoint.
};

/// The last segment a checkpoint should replace when the log goes from `first` to `active`, which
/// is being written: two thirds of the finished ones, which mostly hold what blocks hold too. None
/// if that is not worth the work.
std::optional<std::uint32_t> choose_checkpoint_end(std::uint32_t first, std::uint32_t active);

/// Condenses the newest checkpoint and the segments up to `plan.last_segment` into a new
/// checkpoint, published whole by a rename. Kept are the series `keep_series` accepts, with their
/// tombstones that reach `min_time` and their newest metadata, and samples, exemplars and
/// histograms at or after `min_time`. `keep_series` must also accept a series that left the head
/// while a later segment still has samples for it, and must not change its mind meanwhile.
/// kCorruption, with nothing changed, if the log cannot be read: what is behind the damage would be
/// lost for good. The segments must be finished and synced; may run while the log is appended to.
Result<CheckpointStatistics> create_checkpoint(FileSystem& files, const std::string& wal_directory,
                                               const CheckpointPlan& plan,
                                               const std::function<bool(SeriesRef)>& keep_series);

/// Removes what the newest checkpoint stands for: its segments, from the oldest on and durably one
/// by one (a log with a gap is one Prometheus refuses), then older and unfinished checkpoints.
/// Returns the bytes freed. Can be repeated after a crash.
Result<std::uint64_t> remove_superseded(FileSystem& files, const std::string& wal_directory);

}  // namespace tarsier::tsdb
