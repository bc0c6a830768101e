#pragma once

#include <cstddef>

#include "base/log.h"
#include "base/time.h"
#include "tsdb/head/head.h"
#include "tsdb/head/head_chunk_files.h"

namespace tarsier::tsdb {

/// Brings full chunks of a head to files, so that they do not stay in memory: at once when many
/// have gathered, else after a minute. Of the maintenance thread.
class ChunkSpiller final {
 public:
  ChunkSpiller(Head& head, HeadChunkFiles& files, Logger& log)
      : head_(head), files_(files), log_(log) {}

  /// Writes what is due, of what the logs hold before `safe`. Says when to call again.
  Timestamp run_due(Timestamp now, Head::SafePositions safe);
  /// Writes everything the logs hold before `safe`. Chunks sealed since the last call or run_due go
  /// with the next, so a caller that wants all of them calls twice. Reports an error, and leaves
  /// the chunks in memory.
  void run(Head::SafePositions safe);

 private:
  Status write(const Head::StagedPages& pages);

  Head& head_;
  HeadChunkFiles& files_;
  Logger& log_;
  Timestamp next_ = kMinTimestamp;  ///< Whatever has gathered is written then.
};

}  // namespace tarsier::tsdb
