#include "base/crc32c.h"

#include <nmmintrin.h>

namespace tarsier {

// The instruction of SSE4.2, which the x86-64-v2 baseline includes, computes just this polynomial.
std::uint32_t crc32c(Bytes bytes, std::uint32_t crc) {
  std::uint64_t state = ~crc;
  const std::byte* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    state = _mm_crc32_u64(state, word);
  }
  auto narrow = static_cast<std::uint32_t>(state);
  for (; left > 0; --left, ++p) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*p));
  return ~narrow;
}

}  // namespace tarsier
