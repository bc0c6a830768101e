#include "tsdb/head/open_chunks.h"

#include <algorithm>
#include <cstring>

namespace tarsier::tsdb {

OpenChunks::Cell OpenChunks::allocate() {
  if (free_ != kNone) {
    const Cell cell = free_;
    free_ = cells_[cell].next;
    return cell;
  }
  cells_.grow_to(used_ + 1);
  return static_cast<Cell>(used_++);
}

OpenChunks::Place OpenChunks::begin() {
  const Cell cell = allocate();
  cells_[cell].data[0] = std::byte{0};
  cells_[cell].data[1] = std::byte{0};
  return {cell, cell};
}

OpenChunks::Cell OpenChunks::write(Cell last, std::size_t byte_count, const XorTail& tail) {
  std::size_t at = tail.offset % kCellDataBytes;
  // The tail starts in the last cell, unless that is full to its end and to its last bit.
  if (at == 0 && tail.offset == byte_count) {
    const Cell next = allocate();
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
  const Cell next = allocate();
  cells_[last].next = next;
  std::memcpy(cells_[next].data.data(), tail.bytes.data() + here, tail.size - here);
  return next;
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

void OpenChunks::free(Place place) {
  cells_[place.last].next = free_;
  free_ = place.first;
}

}  // namespace tarsier::tsdb
