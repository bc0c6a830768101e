#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tsdb/block/block.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/index/symbols.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

/// A chunk of a block, where its index says it is.
struct StoredChunk {
  ChunkMeta meta;
  Chunk chunk;
};

/// One interchange block, series by series in label order with every chunk as it lies in the
/// block's files: what is sealed, and what comes back when a sealed block is exported. Life:
/// `start`, then as long as not `done()`: look at the series, `step`. One thread at a time.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  virtual const BlockMeta& meta() const = 0;
  /// meta.json to the byte.
  virtual const std::string& meta_json() const = 0;
  /// Names and values of all series; there may be more.
  virtual void add_symbols(SymbolSet& symbols) const = 0;

  /// Goes to the first series; again to begin anew.
  virtual Status start() = 0;
  virtual Status step() = 0;
  virtual bool done() const = 0;
  // REQUIRES of what follows: not done().
  virtual const Labels& labels() const = 0;
  /// In order of time, at least one. The view lives until the next step or start.
  virtual Result<std::span<const StoredChunk>> chunks() = 0;
  /// What is deleted of the series, ascending. The view lives as long as the block.
  virtual std::span<const TimeRange> deleted() const = 0;
};

/// `directory` is the block's, opened as `block`. The file of a block is read, never changed.
Result<std::unique_ptr<ChunkSource>> make_block_chunk_source(FileSystem& files,
                                                             const std::string& directory,
                                                             std::shared_ptr<const Block> block);

/// Finds out what size of segment files makes a writer end them where a block's end.
class SegmentSizes final {
 public:
  /// To be told of every chunk, in the order of the files.
  void add(std::uint64_t ref, std::uint64_t data_bytes);
  /// No value if no size does: then the block was written in another way.
  std::optional<std::uint64_t> bytes_max() const;

 private:
  std::uint64_t fits_ = 0;              // A segment took this much ...
  std::uint64_t exceeds_ = UINT64_MAX;  // ... and was ended before this much.
  std::uint64_t last_end_ = 0;
  std::uint64_t last_segment_ = 0;
};

/// Where a writer would put chunks, one after the other, if segments have that size.
class ReferenceCounter final {
 public:
  explicit ReferenceCounter(std::uint64_t segment_bytes_max)
      : segment_bytes_max_(segment_bytes_max) {}
  std::uint64_t next(std::uint64_t data_bytes);

 private:
  std::uint64_t segment_bytes_max_;
  std::uint64_t segment_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace tarsier::tsdb
