#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace tarsier::tsdb {

/// A full chunk in memory, immutable. A series' sealed chunks are a list from newest to oldest;
/// whoever follows `previous` first asks whether what it points at can still be there:
/// `previous_max_t` not before the reader's own start of the head (HeadGeneration).
struct SealedChunk {
  const SealedChunk* previous;
  std::int64_t previous_max_t;  ///< INT64_MIN if there is none.
  std::int64_t max_t;
  std::uint16_t size;
  std::uint16_t sample_count;

  static constexpr std::size_t kHeaderBytes = 28;
  Bytes bytes() const { return {reinterpret_cast<const std::byte*>(this) + kHeaderBytes, size}; }
  std::int64_t min_t() const;
};

/// The sealed chunks of one window of time (a block range), packed without gaps. Chunks never
/// cross a window, and a window is dropped as a whole when its block has been cut.
class SealedWindow final {
 public:
  /// Memory for a chunk of `size` bytes; its header is left to the caller.
  SealedChunk* allocate(std::size_t size);
  /// Takes over the memory of `other`, which is empty then.
  void merge(SealedWindow& other);
  std::size_t bytes() const { return bytes_; }
  std::size_t chunk_count() const { return chunk_count_; }

 private:
  static constexpr std::size_t kPageBytes = 64 << 10;
  std::vector<std::unique_ptr<std::byte[]>> pages_;
  std::size_t used_ = kPageBytes;  // Of the last page.
  std::size_t bytes_ = 0;
  std::size_t chunk_count_ = 0;
};

/// All windows. One thread at a time; sealed chunks themselves may be read by anybody.
class SealedChunks final {
 public:
  SealedWindow& window(std::int64_t window_end);
  /// Takes over everything of `other`; its chunks stay where they are.
  void merge(SealedChunks& other);
  /// Takes out the windows that end at or before `time`, for whoever knows when they may be freed.
  std::vector<std::unique_ptr<SealedWindow>> take_before(std::int64_t time);
  /// Where the oldest window begins, given the length of windows; INT64_MAX if there is none.
  std::int64_t oldest_start(std::int64_t range_ms) const;
  std::size_t bytes() const;
  std::size_t chunk_count() const;

 private:
  std::map<std::int64_t, std::unique_ptr<SealedWindow>> windows_;  // By end.
};

}  // namespace tarsier::tsdb
