#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/block/ulid.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {

/// Told of every chunk that is written.
using ChunkSeen = std::function<void(const EncodedChunk&)>;

/// Writes everything the head has before `end` as a block of level 1: series in label order, chunks
/// of the length blocks are to have, what is deleted of them in the block's tombstones. No value if
/// there is nothing. Commits and queries go on meanwhile. REQUIRES: the head is frozen before
/// `end`.
Result<std::optional<BlockMeta>> cut_block(Head& head, FileSystem& files,
                                           const std::string& data_directory, Ulid ulid,
                                           Timestamp end, std::uint64_t segment_bytes_max,
                                           const ChunkSeen& seen = nullptr);

/// Writes the full chunks that these series, which ended, have in one window of time as a block
/// that says that it does not hold all of its time. REQUIRES: the caller holds a generation that
/// has the slots, which are ascending.
Result<std::optional<BlockMeta>> cut_series(Head& head, FileSystem& files,
                                            const std::string& data_directory, Ulid ulid,
                                            std::span<const EndedSeries> series, TimeRange window,
                                            std::uint64_t segment_bytes_max, const ChunkSeen& seen);

/// The same with all the head has, open chunks included, and the head as it was. Each series is
/// copied at a moment of its own.
Result<std::optional<BlockMeta>> copy_head(Head& head, FileSystem& files,
                                           const std::string& data_directory, Ulid ulid,
                                           std::uint64_t segment_bytes_max);

}  // namespace tarsier::tsdb
