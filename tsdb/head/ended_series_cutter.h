#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/ulid.h"
#include "tsdb/compaction/backoff.h"
#include "tsdb/head/chunk_spiller.h"
#include "tsdb/head/head.h"
#include "tsdb/head/head_chunk_files.h"
#include "tsdb/head/head_cutter.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// Lets series that ended leave the head for blocks before their window of time is cut: labels,
/// numbers and index entries cost more memory than their few samples. The blocks say that they do
/// not hold all of their time, as those of out-of-order samples do, and are merged with the others
/// once the window has been cut. A series that comes back is a new one. Of the maintenance thread.
class EndedSeriesCutter final {
 public:
  /// What it works on.
  struct Parts {
    FileSystem& files;
    std::string data_directory;
    const Options& options;
    Head& head;
    HeadChunkFiles& chunks;
    ChunkSpiller& spiller;
    BlockSet& blocks;
    Logger& log;
  };
  explicit EndedSeriesCutter(Parts parts) : parts_(std::move(parts)) {}

  struct Means {
    LogPosition appended;
    Head::SafePositions safe;
    std::function<Ulid()> next_ulid;
    ChunkSeen seen;
  };
  enum class Outcome : unsigned char {
    kNothing,
    kWaitsForLog,  ///< Until it can be relied on as far as what they have.
    kRemoved,
  };
  /// Errors are reported and tried again later.
  Outcome run_due(Timestamp now, const Means& means);
  /// Something else changes what the head has: what was begun is begun again.
  void forget() { begun_.reset(); }

 private:
  struct Begun {
    std::vector<EndedSeries> series;
    LogPosition position;
  };
  Result<std::size_t> cut(const Means& means);

  const Parts parts_;
  std::optional<Begun> begun_;
  Backoff backoff_;
};

}  // namespace tarsier::tsdb
