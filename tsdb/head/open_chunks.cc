#include "tsdb/head/open_chunks.h"

#include <algorithm>
#include <cstring>

namespace tarsier::tsdb {

void OpenChunks::take_fresh(Lane& lane) {
  MutexLock lock(mutex_);
  lane.fresh_ = static_cast<Cell>(used_);
  used_ += kFreshCells;
  lane.fresh_end_ = static_cast<Cell>(used_);
  cells_.grow_to(used_);
}

OpenChunks::Cell OpenChunks::allocate(Lane& lane) {
  if (lane.free_ != kNone) {
    const Cell cell = lane.free_;
    lane.free_ = cells_[cell].next;
    return cell;
  }
  if (lane.fresh_ == lane.fresh_end_) take_fresh(lane);
  return lane.fresh_++;
}

OpenChunks::Place OpenChunks::begin(Lane& lane) {
  const Cell cell = allocate(lane);
  cells_[cell].data[0] = std::byte{0};
  cells_[cell].data[1] = std::byte{0};
  return {cell, cell};
}

OpenChunks::Cell OpenChunks::write(Lane& lane, Cell last, std::size_t byte_count,
                                   const XorTail& tail) {
  std::size_t at = tail.offset % kCellDataBytes;
  // The tail starts in the last cell, unless that is full to its end and to its last bit.
  if (at == 0 && tail.offset == byte_count) {
    const Cell next = allocate(lane);
    cells_[last].next = next;
    last = next;
  }
  constexpr std::size_t kStride = 24;  // Most tails fit, and a fixed size is copied in registers.
  static_assert(kStride >= kXorSampleBytesMax);
  if (at + kStride <= kCellDataBytes) {
    std::memcpy(&cells_[last].data[at], tail.bytes.data(), kStride);
    return last;
  }
  const std::size_t here = std::min(tail.size, kCellDataBytes - at);
  std::memcpy(&cells_[last].data[at], tail.bytes.data(), here);
  if (here == tail.size) return last;
  const Cell next = allocate(lane);
  cells_[last].next = next;
  std::memcpy(cells_[next].data.data(), tail.bytes.data() + here, tail.size - here);
  return next;
}

OpenChunks::Cell OpenChunks::write(Lane& lane, Cell last, std::size_t byte_count,
                                   const XorTails& tails) {
  if (tails.size == 0) return last;
  std::size_t at = tails.offset % kCellDataBytes;
  bool is_full = at == 0 && tails.offset == byte_count;
  for (std::size_t done = 0; done < tails.size;) {
    if (is_full) {
      const Cell next = allocate(lane);
      cells_[last].next = next;
      last = next;
      at = 0;
    }
    const std::size_t here = std::min(tails.size - done, kCellDataBytes - at);
    std::memcpy(&cells_[last].data[at], tails.bytes.data() + done, here);
    done += here;
    is_full = true;
  }
  return last;
}

void OpenChunks::copy(Cell first, std::uint16_t sample_count, std::span<std::byte> out) const {
  Cell cell = first;
  for (std::size_t at = 0; at < out.size(); at += kCellDataBytes) {
    const CellData& from = cells_[cell];
    std::memcpy(out.data() + at, from.data.data(), std::min(kCellDataBytes, out.size() - at));
    cell = from.next;
  }
  write_xor_count(out, sample_count);
}

void OpenChunks::free(Lane& lane, Place place) {
  cells_[place.last].next = lane.free_;
  lane.free_ = place.first;
}

void OpenChunks::merge(Lane& to, Lane& from) {
  for (; from.fresh_ != from.fresh_end_; ++from.fresh_) free(from, {from.fresh_, from.fresh_});
  if (from.free_ == kNone) return;
  Cell last = from.free_;
  while (cells_[last].next != kNone) last = cells_[last].next;
  free(to, {from.free_, last});
  from.free_ = kNone;
}

}  // namespace tarsier::tsdb
