#include "tsdb/head/sealed_chunks.h"

#include <cstddef>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {

std::int64_t SealedChunk::min_t() const {
  return ByteReader(bytes().subspan(kXorHeaderBytes)).varint();
}

SealedChunk* SealedWindow::allocate(std::size_t size) {
  static_assert(offsetof(SealedChunk, sample_count) + sizeof(std::uint16_t) ==
                SealedChunk::kHeaderBytes);
  CHECK(size <= 0xffff);
  const std::size_t whole = (SealedChunk::kHeaderBytes + size + 7) / 8 * 8;
  if (used_ + whole > kPageBytes) {
    CHECK(whole <= kPageBytes);
    pages_.push_back(std::make_unique_for_overwrite<std::byte[]>(kPageBytes));
    bytes_ += kPageBytes;
    used_ = 0;
  }
  std::byte* const at = pages_.back().get() + used_;
  used_ += whole;
  ++chunk_count_;
  return new (at) SealedChunk;
}

void SealedWindow::merge(SealedWindow& other) {
  // Their last page may be half full; ours stays the one that is filled.
  const auto at = pages_.empty() ? pages_.end() : std::prev(pages_.end());
  if (pages_.empty()) used_ = kPageBytes;
  pages_.insert(at, std::make_move_iterator(other.pages_.begin()),
                std::make_move_iterator(other.pages_.end()));
  other.pages_.clear();
  other.used_ = kPageBytes;
  bytes_ += std::exchange(other.bytes_, 0);
  chunk_count_ += std::exchange(other.chunk_count_, 0);
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

}  // namespace tarsier::tsdb
