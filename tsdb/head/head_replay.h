#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "tsdb/head/head.h"
#include "tsdb/opening.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

struct ReplayStatistics {
  std::uint64_t record_count = 0;
  std::uint64_t skipped_record_count = 0;     ///< Of kinds the head does not hold.
  std::uint64_t refused_series_count = 0;     ///< Series records that make no series.
  std::uint64_t invalid_histogram_count = 0;  ///< Whose parts contradict each other.
  std::uint64_t sample_count = 0;             ///< Read; the head says how many it took.
  std::uint64_t damage_count = 0;
  double seconds = 0;  ///< Of the whole, wall time.
};

/// A head as the log of `wal_directory` says it was, without samples before `min_valid_time`.
/// Damage is repaired (what is cut off goes to `lost_directory`) and reported, after which the log
/// may be opened for writing. Fails only when the disk does. A thread of `pool` (may be null) reads
/// ahead, others append; the result is the same. `opening` is told how far it is.
Result<std::unique_ptr<Head>> replay_head(FileSystem& files, const std::string& wal_directory,
                                          const std::string& lost_directory, const Options& options,
                                          Timestamp min_valid_time, Logger& log, ThreadPool* pool,
                                          Opening& opening, ReplayStatistics& statistics);

}  // namespace tarsier::tsdb
