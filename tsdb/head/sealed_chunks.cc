#include "tsdb/head/sealed_chunks.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <sys/mman.h>

#include "base/check.h"
#include "tsdb/chunk/chunk_encoding.h"

namespace tarsier::tsdb {

std::uint64_t SealedChunk::address(const void* p) {
  const auto word = reinterpret_cast<std::uint64_t>(p);
  CHECK((word & ~kPointerMask) == 0, "an address of more than 48 bits");
  return word;
}

Bytes SealedChunk::bytes() const {
  const std::uint64_t place = place_.load(kAcquire);
  const auto* const entry = pointer<std::byte>(place);
  std::uint64_t size = place >> kPointerBits;
  if (size == kLarge) {
    size = 0;
    unsigned shift = 0;
    const std::byte* at = entry + kHeadChunkFixedBytes;
    for (;; shift += 7) {
      const auto byte = static_cast<std::uint64_t>(*at++);
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return {at, size};
  }
  return {entry + kHeadChunkFixedBytes + uvarint_bytes(size), size};
}

std::uint8_t SealedChunk::encoding() const {
  const auto stored = static_cast<unsigned>(entry()[kHeadChunkFixedBytes - 1]);
  return static_cast<std::uint8_t>(stored & ~unsigned{kOutOfOrderFlag});
}

SealedChunk::Previous SealedChunk::previous() const {
  const std::uint64_t windows = link_ >> kPointerBits;
  if (windows != kLarge) return {pointer<SealedChunk>(link_), windows};
  const auto* const far = pointer<FarLink>(link_);
  return {far->chunk, far->windows};
}

void SealedWalk::next() {
  const SealedChunk::Previous previous = chunk_->previous();
  chunk_ = previous.chunk;
  if (chunk_ == nullptr) return;
  // Unsigned: times may be far apart. There is room for one millisecond at least.
  const std::uint64_t room =
      static_cast<std::uint64_t>(window_end_) - static_cast<std::uint64_t>(min_time_);
  const auto range = static_cast<std::uint64_t>(range_ms_);
  if (previous.windows > (room - 1) / range) {
    chunk_ = nullptr;  // Its window ended before: it may be gone.
    return;
  }
  window_end_ =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(window_end_) - previous.windows * range);
  if (chunk_->max_t() < min_time_) chunk_ = nullptr;
}

StagedPage::StagedPage(std::size_t size)
    : size_(size),
      memory_(static_cast<std::byte*>(
          ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
  CHECK(static_cast<void*>(memory_) != MAP_FAILED, "out of memory");
}

StagedPage::~StagedPage() { ::munmap(memory_, size_); }

void SealedWindow::give_back(SealedChunk* chunk) {
  chunk->link_ = SealedChunk::address(free_);
  free_ = chunk;
  --chunk_count_;
}

SealedChunk* SealedWindow::make(const NewSealedChunk& chunk, const std::byte* entry) {
  if (free_ == nullptr && used_ == kPageChunks) {
    pages_.push_back(std::make_unique_for_overwrite<SealedChunk[]>(kPageChunks));
    bytes_ += kPageBytes;
    used_ = 0;
  }
  SealedChunk* made = free_;
  if (made != nullptr) {
    free_ = const_cast<SealedChunk*>(SealedChunk::pointer<SealedChunk>(made->link_));
  } else {
    made = &pages_.back()[used_++];
  }
  ++chunk_count_;
  made->link_ = 0;
  const std::uint64_t size = std::min<std::uint64_t>(chunk.size, SealedChunk::kLarge);
  made->place_.store(SealedChunk::address(entry) | (size << SealedChunk::kPointerBits),
                     std::memory_order_release);
  return made;
}

void SealedWindow::link(SealedChunk& chunk, SealedChunk::Previous previous) {
  if (previous.chunk == nullptr) return;
  const void* target = previous.chunk;
  std::uint64_t windows = previous.windows;
  if (windows >= SealedChunk::kLarge) {
    far_links_.push_back(std::make_unique<SealedChunk::FarLink>(
        SealedChunk::FarLink{previous.chunk, previous.windows}));
    target = far_links_.back().get();
    windows = SealedChunk::kLarge;
  }
  chunk.link_ = SealedChunk::address(target) | (windows << SealedChunk::kPointerBits);
}

SealedWindow::Allocated SealedWindow::allocate(const NewSealedChunk& chunk) {
  const std::size_t whole = head_chunk_entry_bytes(chunk.size);
  if (staged_.empty() || staged_.back()->is_closed || staged_.back()->room() < whole) {
    staged_.push_back(std::make_unique<StagedPage>(std::max(whole, StagedPage::kBytes)));
  }
  StagedPage& page = *staged_.back();
  std::byte* const entry = page.allocate(whole);
  std::byte* const data = write_head_chunk_header(chunk.header, chunk.size, entry);
  staged_bytes_ += whole;
  SealedChunk* const made = make(chunk, entry);
  page.chunks.push_back(made);
  return {made, {data, chunk.size}};
}

SealedChunk* SealedWindow::adopt(const NewSealedChunk& chunk, const std::byte* entry) {
  return make(chunk, entry);
}

void SealedWindow::merge(SealedWindow& other) {
  // The last pages of both may be half full; ours stay the ones that are filled.
  const auto at = pages_.empty() ? pages_.end() : std::prev(pages_.end());
  if (pages_.empty()) used_ = kPageChunks;
  pages_.insert(at, std::make_move_iterator(other.pages_.begin()),
                std::make_move_iterator(other.pages_.end()));
  other.pages_.clear();
  other.used_ = kPageChunks;
  far_links_.insert(far_links_.end(), std::make_move_iterator(other.far_links_.begin()),
                    std::make_move_iterator(other.far_links_.end()));
  other.far_links_.clear();
  // Behind ours: what of one series was sealed later stays behind.
  staged_.insert(staged_.end(), std::make_move_iterator(other.staged_.begin()),
                 std::make_move_iterator(other.staged_.end()));
  other.staged_.clear();
  bytes_ += std::exchange(other.bytes_, 0);
  staged_bytes_ += std::exchange(other.staged_bytes_, 0);
  chunk_count_ += std::exchange(other.chunk_count_, 0);
}

void SealedWindow::close_pages(LogPosition logged_before) {
  for (const auto& page : staged_) {
    if (std::exchange(page->is_closed, true)) continue;
    page->logged_before = logged_before;
  }
}

void SealedWindow::find_pages(LogPosition safe, std::vector<StagedPage*>& out) const {
  for (const auto& page : staged_) {
    // Only from the front: files hold the chunks of a series in order of time.
    if (!page->is_closed || page->logged_before > safe) return;
    out.push_back(page.get());
  }
}

void SealedWindow::take_pages(std::span<StagedPage* const> pages,
                              std::vector<std::unique_ptr<StagedPage>>& out) {
  for (auto& page : staged_) {
    if (std::find(pages.begin(), pages.end(), page.get()) == pages.end()) continue;
    staged_bytes_ -= page->entries().size();
    out.push_back(std::move(page));
  }
  std::erase(staged_, nullptr);
}

SealedWindow& SealedChunks::window(std::int64_t window_end) {
  std::unique_ptr<SealedWindow>& window = windows_[window_end];
  if (window == nullptr) window = std::make_unique<SealedWindow>();
  return *window;
}

void SealedChunks::merge(SealedChunks& other) {
  for (const auto& [end, theirs] : other.windows_) window(end).merge(*theirs);
  other.windows_.clear();
}

std::vector<std::unique_ptr<SealedWindow>> SealedChunks::take_before(std::int64_t time) {
  std::vector<std::unique_ptr<SealedWindow>> taken;
  while (!windows_.empty() && windows_.begin()->first <= time) {
    taken.push_back(std::move(windows_.begin()->second));
    windows_.erase(windows_.begin());
  }
  return taken;
}

std::int64_t SealedChunks::oldest_start(std::int64_t range_ms) const {
  if (windows_.empty()) return INT64_MAX;
  return (Timestamp{windows_.begin()->first} - Duration{range_ms}).ms;
}

std::size_t SealedChunks::bytes() const {
  std::size_t sum = 0;
  for (const auto& [end, window] : windows_) sum += window->bytes();
  return sum;
}

std::size_t SealedChunks::chunk_count() const {
  std::size_t sum = 0;
  for (const auto& [end, window] : windows_) sum += window->chunk_count();
  return sum;
}

std::vector<SealedWindow*> SealedChunks::windows() const {
  std::vector<SealedWindow*> out;
  for (const auto& [end, window] : windows_) out.push_back(window.get());
  return out;
}

}  // namespace tarsier::tsdb
