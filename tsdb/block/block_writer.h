#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/index/index_writer.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// What follows the ULID in the name of a directory that is not a block yet, or no longer.
inline constexpr std::string_view kCreationSuffix = ".tmp-for-creation";
inline constexpr std::string_view kDeletionSuffix = ".tmp-for-deletion";
inline constexpr std::string_view kLegacyTemporarySuffix = ".tmp";

/// A finished chunk on its way into a block. Borrows `data` for the call.
struct EncodedChunk {
  Timestamp min_time;  ///< Of the first sample.
  Timestamp max_time;  ///< Of the last sample.
  Chunk chunk;
};

/// Writes one block: `create`, `add_series` in label order, `finish`. Until finish has succeeded
/// there is no block, only a directory with a temporary name, which the destructor tries to remove
/// and the next start removes for sure. One thread at a time; after an error it is good for nothing
/// but destruction.
class BlockWriter final {
 public:
  /// `meta` gives name, times, compaction and hints; the statistics are counted here. `symbols`
  /// holds every name and value to come (more are allowed).
  static Result<std::unique_ptr<BlockWriter>> create(FileSystem& files,
                                                     const std::string& data_directory,
                                                     BlockMeta meta, SymbolSet symbols,
                                                     std::uint64_t segment_bytes_max);
  ~BlockWriter();

  /// The block ends no earlier than this (exclusive).
  void extend_to(Timestamp max_time);
  /// `deleted` goes into the block's tombstones. REQUIRES: labels greater than the ones before and
  /// made of known symbols; chunks in time order, at least one, without overlap, within the block's
  /// time.
  Status add_series(const Labels& labels, std::span<const EncodedChunk> chunks,
                    std::span<const TimeRange> deleted = {});

  /// Syncs everything and publishes the block under its name. Without any series there is nothing
  /// to publish, and no value.
  Result<std::optional<BlockMeta>> finish();

 private:
  BlockWriter(FileSystem& files, std::string data_directory, BlockMeta meta);
  Status publish();

  FileSystem& files_;
  const std::string data_directory_;
  const std::string temporary_;
  BlockMeta meta_;
  std::unique_ptr<ChunkFilesWriter> chunks_;
  std::unique_ptr<IndexWriter> index_;
  std::vector<ChunkMeta> chunk_metas_;
  Tombstones tombstones_;
  bool published_ = false;
};

}  // namespace tarsier::tsdb
