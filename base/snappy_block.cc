#include "base/snappy_block.h"

#include <cstdint>
#include <cstring>

namespace tarsier {
namespace {

/// An element's first byte says its kind in the low two bits.
enum Kind : unsigned { kLiteral = 0, kCopyNear = 1, kCopy = 2, kCopyFar = 3 };

/// What the fast path may touch beyond what an element needs.
constexpr std::size_t kInputRoom = 1 + 4 + 64;
constexpr std::size_t kOutputRoom = 64 + 16;

inline void copy16(std::byte* to, const std::byte* from) {
  std::byte word[16];
  std::memcpy(word, from, 16);
  std::memcpy(to, word, 16);
}

/// Up to 64 bytes, in words of 16 that may go beyond. REQUIRES: from + 16 <= to, or no overlap.
inline void copy_words(std::byte* to, const std::byte* from, std::size_t size) {
  copy16(to, from);
  if (size <= 16) return;
  copy16(to + 16, from + 16);
  if (size <= 32) return;
  copy16(to + 32, from + 32);
  copy16(to + 48, from + 48);
}

/// Up to 64 bytes, in words of 8 that may go beyond. REQUIRES: from + 8 <= to.
inline void copy_near(std::byte* to, const std::byte* from, std::size_t size) {
  for (std::size_t i = 0; i < size; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, from + i, 8);
    std::memcpy(to + i, &word, 8);
  }
}

/// A copy from so near that it repeats what it has just written.
inline void copy_overlapping(std::byte* to, const std::byte* from, std::size_t size) {
  for (; size > 0; --size) *to++ = *from++;
}

inline std::uint32_t load_le(const std::byte* p, std::size_t size) {
  std::uint32_t v = 0;
  std::memcpy(&v, p, size);
  return v;
}

}  // namespace

bool decode_snappy_elements(Bytes input, std::span<std::byte> out) {
  const std::byte* in = input.data();
  const std::byte* const in_end = in + input.size();
  std::byte* to = out.data();
  std::byte* const to_end = to + out.size();
  while (in != in_end) {
    const auto in_left = static_cast<std::size_t>(in_end - in);
    const auto to_left = static_cast<std::size_t>(to_end - to);
    const bool has_room = in_left >= kInputRoom && to_left >= kOutputRoom;
    const auto tag = static_cast<unsigned>(*in);
    if ((tag & 3) == kLiteral) {
      std::size_t size = (tag >> 2) + 1;
      if (has_room && size <= 60) [[likely]] {
        copy_words(to, in + 1, size);
        in += 1 + size;
        to += size;
        continue;
      }
      std::size_t header = 1;
      if (size > 60) {
        const std::size_t width = size - 60;
        if (in_left < 1 + width) return false;
        size = std::size_t{load_le(in + 1, width)} + 1;
        header += width;
      }
      if (in_left - header < size || to_left < size) return false;
      std::memcpy(to, in + header, size);
      in += header + size;
      to += size;
      continue;
    }
    std::size_t size = (tag >> 2) + 1;
    std::size_t offset = 0;
    std::size_t header = 3;
    if ((tag & 3) == kCopyNear) {
      if (in_left < 2) return false;
      size = 4 + ((tag >> 2) & 7);
      offset = ((tag >> 5) << 8) | static_cast<std::size_t>(in[1]);
      header = 2;
    } else if ((tag & 3) == kCopy) {
      if (in_left < 3) return false;
      offset = load_le(in + 1, 2);
    } else {
      if (in_left < 5) return false;
      offset = load_le(in + 1, 4);
      header = 5;
    }
    const auto done = static_cast<std::size_t>(to - out.data());
    if (offset == 0 || offset > done || to_left < size) return false;
    in += header;
    if (has_room && offset >= 16) [[likely]] {
      copy_words(to, to - offset, size);
    } else if (has_room && offset >= 8) {
      copy_near(to, to - offset, size);
    } else {
      copy_overlapping(to, to - offset, size);
    }
    to += size;
  }
  return to == to_end;
}

}  // namespace tarsier
