#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/chunk_source.h"
#include "tsdb/block/sealed_block.h"
#include "tsdb/block/ulid.h"
#include "tsdb/chunk/packed_column.h"

namespace tarsier::tsdb {

struct SealRequest {
  std::string sealed_directory;
  Ulid ulid;                   ///< Of the new block.
  std::vector<Ulid> replaces;  ///< Sealed blocks all of whose sources are among the inputs.
  ColumnProfile profile = ColumnProfile::kSmallest;
  std::function<void()> progress = nullptr;  ///< Told of every series; may be null.
};

/// Seals blocks into one: writes it, lets every block come back from what was written and compares
/// it, chunk by chunk and byte by byte, with the input; only then publishes it. The inputs are left
/// alone. `sources` in order of time. kInvalid for blocks that cannot be sealed, kCorruption for
/// damage or if anything comes back differently, kCancelled when `cancel` (may be null) fires.
/// Memory: the symbols of all inputs and one series at a time.
Result<std::shared_ptr<const SealedBlock>> seal_blocks(
    FileSystem& files, const SealRequest& request,
    std::span<const std::unique_ptr<ChunkSource>> sources, const CancelToken* cancel);

}  // namespace tarsier::tsdb
