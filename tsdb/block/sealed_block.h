#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/chunk_source.h"
#include "tsdb/block/sealed_columns.h"
#include "tsdb/block/sealed_meta.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/index/index_reader.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// A sealed block on disk, opened: interchange blocks in columns, from which they come back to the
/// byte (FORMAT.md, "sealed block"). Its index is one like theirs; a chunk reference in it is the
/// offset of a record in `columns`. Files stay readable as long as this lives. Immutable; any
/// number of threads.
class SealedBlock final {
 public:
  /// Errors as those of Block::open.
  static Result<std::shared_ptr<const SealedBlock>> open(FileSystem& files,
                                                         const std::string& directory);
  /// The same block with other tombstones: the file must say so already.
  std::shared_ptr<const SealedBlock> with(Tombstones tombstones) const;

  const SealedMeta& meta() const { return meta_; }
  TimeRange range() const { return meta_.range(); }
  const IndexReader& index() const { return *index_; }
  const SealedColumnsReader& columns() const { return *columns_; }
  const Tombstones& tombstones() const { return tombstones_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  SealedBlock() = default;
  SealedMeta meta_;
  std::shared_ptr<const IndexReader> index_;
  std::shared_ptr<const SealedColumnsReader> columns_;
  Tombstones tombstones_;
  std::uint64_t size_bytes_ = 0;
};

/// By time, then by name.
using SealedBlockList = std::vector<std::shared_ptr<const SealedBlock>>;

/// A view of one sealed block, as make_block_querier.
std::unique_ptr<Querier> make_sealed_querier(std::shared_ptr<const SealedBlock> block,
                                             TimeRange range);

/// One of its sources, as it was. `directory` is the block's.
Result<std::unique_ptr<ChunkSource>> make_sealed_chunk_source(
    FileSystem& files, const std::string& directory, std::shared_ptr<const SealedBlock> block,
    std::size_t source);

}  // namespace tarsier::tsdb
