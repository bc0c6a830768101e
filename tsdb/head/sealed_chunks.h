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

/// A full chunk of the head, immutable: an entry as head chunk files have it, in memory until a
/// file has it, then in that file's mapping (HeadChunkFiles). What stays in memory is this, and
/// there is one for every half an hour or less of every series: so the times are read from the
/// entry, and two words say where that is and which chunk came before. A series' sealed chunks are
/// a list from newest to oldest; chunks of other windows may be gone already, so the list of a
/// series in order is walked by SealedWalk.
class SealedChunk final {
 public:
  /// What came before of the same series, and how many windows before this chunk's it is.
  struct Previous {
    const SealedChunk* chunk = nullptr;
    std::uint64_t windows = 0;
  };

  /// The whole entry. What an earlier call gave lives as long as the generation the reader holds.
  const std::byte* entry() const { return pointer<std::byte>(place_.load(kAcquire)); }
  Bytes bytes() const;  ///< The chunk's data.
  std::size_t size() const { return bytes().size(); }
  std::int64_t min_t() const { return time_at(8); }
  std::int64_t max_t() const { return time_at(16); }
  /// As in the files of blocks.
  std::uint8_t encoding() const;
  /// Of an encoding that begins with the count.
  std::uint16_t sample_count() const { return load_be<std::uint16_t>(bytes().data()); }
  Previous previous() const;

  /// The same entry is here now.
  void move_to(const std::byte* entry) {
    place_.store(address(entry) | (place_.load(std::memory_order_relaxed) & ~kPointerMask),
                 std::memory_order_release);
  }

 private:
  friend class SealedWindow;

  // Addresses of user memory have 47 bits; the others hold a number each.
  static constexpr unsigned kPointerBits = 48;
  static constexpr std::uint64_t kPointerMask = (std::uint64_t{1} << kPointerBits) - 1;
  static constexpr std::uint64_t kLarge = 0xffff;  ///< The number is elsewhere.
  static constexpr std::memory_order kAcquire = std::memory_order_acquire;

  /// A list that goes on very far back.
  struct FarLink {
    const SealedChunk* chunk;
    std::uint64_t windows;
  };

  template <typename T>
  static const T* pointer(std::uint64_t word) {
    return reinterpret_cast<const T*>(word & kPointerMask);
  }
  static std::uint64_t address(const void* p);
  std::int64_t time_at(std::size_t offset) const {
    return static_cast<std::int64_t>(load_be<std::uint64_t>(entry() + offset));
  }

  /// Of the entry, with the size of its data. Stored by whoever brings the chunk to a file, with
  /// release, for the acquire in entry().
  std::atomic<std::uint64_t> place_;
  std::uint64_t link_;  ///< The previous chunk, or a FarLink, and the windows in between.
};
static_assert(sizeof(SealedChunk) == 16);

/// Goes from the newest sealed chunk of a series to older ones, as far as they reach to `min_time`
/// or behind it. REQUIRES: the reader's generation does not begin after that, so those chunks are
/// still there.
class SealedWalk final {
 public:
  /// `window_end` is that of `newest`, which may be null or too old: `newest_max_t` tells.
  SealedWalk(const SealedChunk* newest, std::int64_t newest_max_t, std::int64_t window_end,
             std::int64_t range_ms, std::int64_t min_time)
      : chunk_(newest_max_t < min_time ? nullptr : newest),
        window_end_(window_end),
        range_ms_(range_ms),
        min_time_(min_time) {}

  explicit operator bool() const { return chunk_ != nullptr; }
  const SealedChunk* operator->() const { return chunk_; }
  const SealedChunk* get() const { return chunk_; }
  std::int64_t window_end() const { return window_end_; }
  void next();

 private:
  const SealedChunk* chunk_;
  std::int64_t window_end_;
  const std::int64_t range_ms_;
  const std::int64_t min_time_;
};

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
  /// A chunk whose entry lies in a file already.
  SealedChunk* adopt(const NewSealedChunk& chunk, const std::byte* entry);
  /// Puts `chunk`, of this window, in front of `previous`, which may have no chunk.
  void link(SealedChunk& chunk, SealedChunk::Previous previous);
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

  SealedChunk* make(const NewSealedChunk& chunk, const std::byte* entry);

  std::vector<std::unique_ptr<SealedChunk[]>> pages_;
  std::vector<std::unique_ptr<SealedChunk::FarLink>> far_links_;
  SealedChunk* free_ = nullptr;                      // Given back, linked.
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
