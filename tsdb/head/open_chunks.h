#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/mutex.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/head/paged_array.h"

namespace tarsier::tsdb {

/// The bytes of the chunks samples are being appended to, in linked cells of one cache line each: a
/// chunk grows without being moved, an append touches one cell, and there is one size, so nothing
/// is lost to fragmentation however series grow in step. Cells are handed out by lanes, one for
/// each thread that appends; a chunk may be begun in one lane and freed in another. Reading a chunk
/// excludes changes to that chunk.
class OpenChunks final {
 public:
  using Cell = std::uint32_t;
  static constexpr std::size_t kCellDataBytes = 60;

  /// Nothing is added to a chunk any more that has so many samples or more bytes: as many samples
  /// as Prometheus would give it, or so many bytes that the worst sample might not fit into three
  /// cells. What waits in memory to become full is what an open chunk costs, and shorter ones cost
  /// a few bytes each. Blocks get longer ones (chunk_division.h).
  struct Limits {
    std::uint16_t sample_count = 120;
    std::size_t byte_count = 3 * kCellDataBytes - kXorSampleBytesMax;

    bool are_reached(const XorState& chunk) const {
      return chunk.sample_count >= sample_count || chunk.byte_count() > byte_count;
    }
  };
  /// Every series begins a chunk with a window of time. The first of them has limits of the series'
  /// own, evenly spread, so that chunks do not all grow and become full together: then memory would
  /// be that of full ones, and files would get them in floods.
  static Limits first_limits(std::uint32_t series) {
    constexpr std::uint32_t kScatter = 2654435761u;  // Knuth's: 2^32 by the golden ratio.
    const std::uint32_t share = (series * kScatter) >> 16;
    constexpr Limits kMost;
    return {static_cast<std::uint16_t>(1 + (share * (kMost.sample_count - 1u) >> 16)),
            kXorSampleBytesMax + (share * (kMost.byte_count - kXorSampleBytesMax) >> 16)};
  }

  /// Where a chunk's bytes are: its first and its last cell.
  struct Place {
    Cell first = 0;
    Cell last = 0;
  };

  /// Free cells in one thread's hands.
  class Lane final {
   private:
    friend class OpenChunks;
    Cell fresh_ = 0;  // From here to fresh_end_ never used.
    Cell fresh_end_ = 0;
    Cell free_ = kNone;  // First of a list linked by `next`.
  };

  /// A new chunk: its first cell, with the (unwritten) count.
  Place begin(Lane& lane);
  /// The last byte written. REQUIRES: byte_count > 0 is what the chunk has.
  std::byte last_byte(Cell last, std::size_t byte_count) const {
    return cells_[last].data[(byte_count - 1) % kCellDataBytes];
  }
  /// Writes `tail`; `byte_count` is what the chunk had before. Returns the last cell.
  Cell write(Lane& lane, Cell last, std::size_t byte_count, const XorTail& tail);
  /// The same for several samples.
  Cell write(Lane& lane, Cell last, std::size_t byte_count, const XorTails& tails);
  /// Copies the chunk, `out.size()` bytes, with its count.
  void copy(Cell first, std::uint16_t sample_count, std::span<std::byte> out) const;
  void free(Lane& lane, Place place);
  /// Gives `to` what `from` has; `from` is empty then.
  void merge(Lane& to, Lane& from);

  void prefetch(Cell cell) const { __builtin_prefetch(&cells_[cell], 1); }
  std::size_t bytes() const EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return cells_.bytes();
  }

 private:
  struct alignas(64) CellData {
    std::array<std::byte, kCellDataBytes> data;
    Cell next;
  };
  static_assert(sizeof(CellData) == 64);

  static constexpr Cell kNone = ~Cell{0};
  static constexpr std::size_t kFreshCells = 256;  // What a lane takes at a time.

  Cell allocate(Lane& lane);
  void take_fresh(Lane& lane) EXCLUDES_LOCK(mutex_);

  PagedArray<CellData, 1024, std::size_t{1} << 18> cells_;
  mutable Mutex mutex_;  // Growing; a leaf.
  std::size_t used_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tarsier::tsdb
