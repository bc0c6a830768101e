#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/head/head_chunk_format.h"

namespace tarsier::tsdb {

/// A full chunk of the head, immutable. Its bytes are in memory until a head chunk file has them,
/// then in that file's mapping (HeadChunkFiles): what stays in memory is this. A series' sealed
/// chunks are a list from newest to oldest; whoever follows `previous` first asks whether what it
/// points at can still be there: `previous_max_t` not before the reader's own start of the head
/// (HeadGeneration).
struct SealedChunk {
  const SealedChunk* previous;
  std::int64_t previous_max_t;  ///< INT64_MIN if there is none.
  std::int64_t max_t;
  /// Stored by whoever brings the chunk to a file, with release, for the acquire in bytes(). What
  /// it pointed to before lives as long as the generation the reader holds.
  std::atomic<const std::byte*> data;
  std::uint32_t span_ms;  ///< max_t - min_t; kLongSpan or more is kLongSpan.
  std::uint32_t size;

  static constexpr std::uint32_t kLongSpan = 0xffffffff;

  Bytes bytes() const { return {data.load(std::memory_order_acquire), size}; }
  /// Of an encoding that begins with the count.
  std::uint16_t sample_count() const { return load_be<std::uint16_t>(bytes().data()); }
  std::int64_t min_t() const;
  /// As in the files of blocks.
  std::uint8_t encoding() const;
};
static_assert(sizeof(SealedChunk) == 40);

/// Memory of its own from the system, which goes back to the system: entries of a head chunk file
/// before they are in one.
class StagedPage final {
 public:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;

  explicit StagedPage(std::size_t size);
  ~StagedPage();
  StagedPage(const StagedPage&) = delete;
  StagedPage& operator=(const StagedPage&) = delete;

  std::size_t room() const { return size_ - used_; }
  std::byte* allocate(std::size_t size) {
    std::byte* const at = memory_ + used_;
    used_ += size;
    return at;
  }
  std::byte* memory() const { return memory_; }
  Bytes entries() const { return {memory_, used_}; }

  std::vector<SealedChunk*> chunks;  ///< Whose bytes are here, in this order.
  bool is_closed = false;            ///< No chunk is added any more.
  /// Set when closed: everything in the page is in the log before this.
  LogPosition logged_before;

 private:
  const std::size_t size_;
  std::byte* const memory_;
  std::size_t used_ = 0;
};

/// A chunk to be sealed.
struct NewSealedChunk {
  HeadChunkHeader header;
  std::size_t size = 0;  ///< Of its data.
};

/// The sealed chunks of one window of time (a block range). In-order chunks never cross a window,
/// and a window is dropped as a whole when its block has been cut.
class SealedWindow final {
 public:
  /// A chunk whose `size` bytes the caller writes to `data`; its place in a list is the caller's,
  /// too.
  /// Files get the chunks of a series in the order in which they were sealed, whatever is in them:
  /// a start takes them as all there is up to the newest.
  struct Allocated {
    SealedChunk* chunk;
    std::span<std::byte> data;
  };
  Allocated allocate(const NewSealedChunk& chunk);
  /// A chunk whose bytes lie in a file already.
  SealedChunk* adopt(const NewSealedChunk& chunk, const std::byte* data);
  /// The chunk will never be looked at again. REQUIRES: it is in no page that waits for a file.
  void give_back(SealedChunk* chunk);
  /// Takes over everything of `other`, which is empty then; its chunks stay where they are.
  void merge(SealedWindow& other);

  /// Memory, file mappings not counted.
  std::size_t bytes() const { return bytes_ + staged_bytes_; }
  std::size_t chunk_count() const { return chunk_count_; }

  /// Bytes of chunks that are in no file.
  std::size_t staged_bytes() const { return staged_bytes_; }
  /// Closes the page being filled, and gives closed ones the position if they have none.
  void close_pages(LogPosition logged_before);
  /// Appends the closed pages whose position is at most `safe` to `out`.
  void find_pages(LogPosition safe, std::vector<StagedPage*>& out) const;
  /// Moves the pages out whose chunks have their bytes elsewhere by now.
  void take_pages(std::span<StagedPage* const> pages,
                  std::vector<std::unique_ptr<StagedPage>>& out);

 private:
  static constexpr std::size_t kPageBytes = 64 << 10;
  static constexpr std::size_t kPageChunks = kPageBytes / sizeof(SealedChunk);

  SealedChunk* make(const NewSealedChunk& chunk, const std::byte* data);

  std::vector<std::unique_ptr<SealedChunk[]>> pages_;
  SealedChunk* free_ = nullptr;                      // Given back, by `previous`.
  std::size_t used_ = kPageChunks;                   // Of the last page.
  std::vector<std::unique_ptr<StagedPage>> staged_;  // The last may be open.
  std::size_t bytes_ = 0;
  std::size_t staged_bytes_ = 0;
  std::size_t chunk_count_ = 0;
};

/// All windows. One thread at a time; sealed chunks themselves may be read by anybody.
class SealedChunks final {
 public:
  SealedWindow& window(std::int64_t window_end);
  /// Null if there is none.
  SealedWindow* find(std::int64_t window_end) {
    const auto window = windows_.find(window_end);
    return window == windows_.end() ? nullptr : window->second.get();
  }
  /// Takes over everything of `other`; its chunks stay where they are.
  void merge(SealedChunks& other);
  /// Takes out the windows that end at or before `time`, for whoever knows when they may be freed.
  std::vector<std::unique_ptr<SealedWindow>> take_before(std::int64_t time);
  /// Where the oldest window begins, given the length of windows; INT64_MAX if there is none.
  std::int64_t oldest_start(std::int64_t range_ms) const;
  std::size_t bytes() const;
  std::size_t chunk_count() const;
  /// From the oldest on.
  std::vector<SealedWindow*> windows() const;

 private:
  std::map<std::int64_t, std::unique_ptr<SealedWindow>> windows_;  // By end.
};

}  // namespace tarsier::tsdb
