#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

// Doors for tools: sealed blocks of a data directory that no server is using, which its lock sees
// to. (A sealed block is what interchange blocks become with age: columns, from which they come
// back to the byte. Prometheus does not read it.)

struct ExportRequest {
  std::string data_directory;
  /// Where blocks go; the data directory itself means that they take the place of the sealed ones,
  /// so that Prometheus can take the directory over.
  std::string target;
  TimeRange range;  ///< Only blocks that overlap it.
  /// Told of every block: its name, how many are done and how many there are. May be empty.
  std::function<void(const std::string& ulid, std::uint64_t done, std::uint64_t total)> progress;

  // As in a bucket of Thanos. REQUIRES: another target than the data directory.

  /// Blocks say with these labels where they come from. Empty: they are plain blocks.
  std::vector<std::pair<std::string, std::string>> thanos_labels;
  /// Beside every block what Thanos' compactor would make of it: 5m, or 5m and 1h.
  std::vector<Duration> downsampled;
  Timestamp now;
  /// Counts series with native histograms, which are not downsampled; may be null.
  std::uint64_t* skipped_series = nullptr;
};

/// Lets every block come back from its seal: chunk files to the byte, references, meta.json; an
/// index of the same series. Blocks that are already there are passed over, so an export that was
/// interrupted goes on. Returns how many blocks there are now.
Result<std::uint64_t> export_blocks(FileSystem& files, const ExportRequest& request, Logger& log);

struct ImportRequest {
  std::string from;  ///< Interchange blocks; left as they are.
  std::string data_directory;
  Timestamp now;
  std::function<void(const std::string& ulid, std::uint64_t done, std::uint64_t total)> progress;
};
struct ImportReport {
  std::uint64_t imported = 0;
  std::uint64_t known = 0;    ///< Sealed before.
  std::uint64_t refused = 0;  ///< Reported in the log: damaged, overlapping, not coming back.
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< Of the sealed blocks.
};
/// Seals a directory of blocks into the data directory.
Result<ImportReport> import_blocks(FileSystem& files, const ImportRequest& request, Logger& log);

/// One kind of storage in a data directory.
struct TierSummary {
  std::string name;
  std::uint64_t blocks = 0;
  std::uint64_t series = 0;  ///< Counted once per block.
  std::uint64_t samples = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t bytes = 0;  ///< Index included.
  Timestamp min_time = kMaxTimestamp;
  Timestamp max_time = kMinTimestamp;
};
/// Interchange blocks, sealed ones, and rows of each resolution (as samples). Without the lock: a
/// server may be using them.
Result<std::vector<TierSummary>> summarize_tiers(FileSystem& files,
                                                 const std::string& data_directory);

/// A block that retention would delete, or of which it would delete some series.
struct DoomedSummary {
  std::string path;
  std::string tier;   ///< "blocks", "sealed", or the resolution as a duration.
  std::string limit;  ///< "time" or "size".
  Timestamp min_time;
  Timestamp max_time;  ///< Exclusive.
  std::uint64_t bytes = 0;
  std::uint64_t series = 0;  ///< So many go; 0: all of it does.
};
/// What a server with these options would delete at its next look, oldest first. Changes nothing
/// and takes no lock: a server may be using the directory.
Result<std::vector<DoomedSummary>> plan_retention(FileSystem& files,
                                                  const std::string& data_directory,
                                                  const Options& options, Logger& log);

}  // namespace tarsier::tsdb
