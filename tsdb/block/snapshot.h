#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block.h"

namespace tarsier::tsdb {

/// Where snapshots are, below the data directory. Each is a data directory of its own.
inline constexpr std::string_view kSnapshotsDirectory = "snapshots";

/// "20260801T120000Z-0123456789abcdef"
std::string snapshot_name(Timestamp now, std::uint64_t random);

struct SnapshotRequest {
  std::string name;
  /// Writes one more block into the directory it is given; may be empty.
  std::function<Status(const std::string& directory)> copy_head;
};

/// Makes `snapshots/<name>` of the blocks: the same files under second names, or copies where the
/// file system has no such names. It appears whole and durable, or not at all; what earlier ones
/// left unfinished is removed.
Status write_snapshot(FileSystem& files, const std::string& data_directory, const BlockList& blocks,
                      const SnapshotRequest& request);

}  // namespace tarsier::tsdb
