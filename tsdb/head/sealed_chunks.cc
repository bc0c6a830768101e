#include "tsdb/head/sealed_chunks.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <sys/mman.h>

#include "base/check.h"
#include "tsdb/chunk/chunk_encoding.h"

namespace tarsier::tsdb {

std::int64_t SealedChunk::min_t() const {
  if (span_ms != kLongSpan) return max_t - std::int64_t{span_ms};
  // Series, times, encoding and length stand in front of the data.
  const Bytes chunk = bytes();
  const std::byte* const entry = chunk.data() - uvarint_bytes(size) - kHeadChunkFixedBytes;
  return static_cast<std::int64_t>(load_be<std::uint64_t>(entry + 8));
}

std::uint8_t SealedChunk::encoding() const {
  const Bytes chunk = bytes();
  const auto stored = static_cast<unsigned>(*(chunk.data() - uvarint_bytes(size) - 1));
  return static_cast<std::uint8_t>(stored & ~unsigned{kOutOfOrderFlag});
}

StagedPage::StagedPage(std::size_t size)
    : size_(size),
      memory_(static_cast<std::byte*>(
          ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
  CHECK(static_cast<void*>(memory_) != MAP_FAILED, "out of memory");
}

StagedPage::~StagedPage() { ::munmap(memory_, size_); }

void SealedWindow::give_back(SealedChunk* chunk) {
  chunk->previous = free_;
  free_ = chunk;
  --chunk_count_;
}

SealedChunk* SealedWindow::make(const NewSealedChunk& chunk, const std::byte* data) {
  if (free_ == nullptr && used_ == kPageChunks) {
    pages_.push_back(std::make_unique_for_overwrite<SealedChunk[]>(kPageChunks));
    bytes_ += kPageBytes;
    used_ = 0;
  }
  SealedChunk* made = free_;
  if (made != nullptr) {
    free_ = const_cast<SealedChunk*>(made->previous);
  } else {
    made = &pages_.back()[used_++];
  }
  ++chunk_count_;
  made->previous = nullptr;
  made->previous_max_t = INT64_MIN;
  made->max_t = chunk.header.max_time.ms;
  // Unsigned, as foreign times may be far apart.
  const std::uint64_t span = static_cast<std::uint64_t>(chunk.header.max_time.ms) -
                             static_cast<std::uint64_t>(chunk.header.min_time.ms);
  made->span_ms = static_cast<std::uint32_t>(std::min<std::uint64_t>(span, SealedChunk::kLongSpan));
  made->size = static_cast<std::uint32_t>(chunk.size);
  made->data.store(data, std::memory_order_release);
  return made;
}

SealedWindow::Allocated SealedWindow::allocate(const NewSealedChunk& chunk) {
  const std::size_t whole = head_chunk_entry_bytes(chunk.size);
  if (staged_.empty() || staged_.back()->is_closed || staged_.back()->room() < whole) {
    staged_.push_back(std::make_unique<StagedPage>(std::max(whole, StagedPage::kBytes)));
  }
  StagedPage& page = *staged_.back();
  std::byte* const data = write_head_chunk_header(chunk.header, chunk.size, page.allocate(whole));
  staged_bytes_ += whole;
  SealedChunk* const made = make(chunk, data);
  page.chunks.push_back(made);
  return {made, {data, chunk.size}};
}

SealedChunk* SealedWindow::adopt(const NewSealedChunk& chunk, const std::byte* data) {
  return make(chunk, data);
}

void SealedWindow::merge(SealedWindow& other) {
  // The last pages of both may be half full; ours stay the ones that are filled.
  const auto at = pages_.empty() ? pages_.end() : std::prev(pages_.end());
  if (pages_.empty()) used_ = kPageChunks;
  pages_.insert(at, std::make_move_iterator(other.pages_.begin()),
                std::make_move_iterator(other.pages_.end()));
  other.pages_.clear();
  other.used_ = kPageChunks;
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
