#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/index/index_reader.h"

namespace tarsier::tsdb {

/// A block on disk, opened: its files stay readable as long as this lives, even when its directory
/// has been removed. Immutable; shared by the published block list and every query that began
/// before the list changed. Any number of threads.
class Block final {
 public:
  /// `directory` is `<data>/<ULID>`. kCorruption or kInvalid when it is damaged, kNotFound when a
  /// file is missing, kIo when the disk would not answer.
  static Result<std::shared_ptr<const Block>> open(FileSystem& files, const std::string& directory);

  /// The same block, its meta.json and tombstones replaced: the files must say so already.
  std::shared_ptr<const Block> with(BlockMeta meta, Tombstones tombstones) const;

  const BlockMeta& meta() const { return meta_; }
  /// Both ends inclusive.
  TimeRange range() const { return {meta_.min_time, meta_.max_time - milliseconds(1)}; }
  const IndexReader& index() const { return *index_; }
  const ChunkFilesReader& chunks() const { return *chunks_; }
  const Tombstones& tombstones() const { return tombstones_; }
  /// What its files take on disk.
  std::uint64_t size_bytes() const { return size_bytes_; }

  /// Chunks of encodings this version does not know that reads have passed over.
  std::uint64_t skipped_chunk_count() const {
    return skipped_chunk_count_.load(std::memory_order_relaxed);
  }
  void count_skipped_chunk() const { skipped_chunk_count_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Block() = default;

  void measure();

  BlockMeta meta_;
  std::shared_ptr<const IndexReader> index_;
  std::shared_ptr<const ChunkFilesReader> chunks_;
  Tombstones tombstones_;
  std::uint64_t size_bytes_ = 0;
  mutable std::atomic<std::uint64_t> skipped_chunk_count_{0};
};

/// By time, then by name.
using BlockList = std::vector<std::shared_ptr<const Block>>;

}  // namespace tarsier::tsdb
