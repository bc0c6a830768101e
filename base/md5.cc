#include "base/md5.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace tarsier {
namespace {

using State = std::array<std::uint32_t, 4>;

constexpr std::size_t kBlockBytes = 64;

/// RFC 1321, 3.4: T[i] is the integer part of 2^32 * |sin(i + 1)|.
std::array<std::uint32_t, 64> make_sines() {
  std::array<std::uint32_t, 64> sines{};
  for (std::size_t i = 0; i < sines.size(); ++i) {
    sines[i] = static_cast<std::uint32_t>(
        std::floor(std::ldexp(std::fabs(std::sin(static_cast<double>(i + 1))), 32)));
  }
  return sines;
}

constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

void digest_block(State& state, const std::byte* block) {
  static const std::array<std::uint32_t, 64> sines = make_sines();
  std::uint32_t words[16];
  std::memcpy(words, block, sizeof words);  // Little-endian, as this machine.
  auto [a, b, c, d] = state;
  for (std::uint32_t i = 0; i < 64; ++i) {
    const std::uint32_t round = i / 16;
    std::uint32_t mixed = 0;
    std::uint32_t word = 0;
    switch (round) {
      case 0:
        mixed = (b & c) | (~b & d);
        word = i;
        break;
      case 1:
        mixed = (b & d) | (c & ~d);
        word = (5 * i + 1) % 16;
        break;
      case 2:
        mixed = b ^ c ^ d;
        word = (3 * i + 5) % 16;
        break;
      default:
        mixed = c ^ (b | ~d);
        word = (7 * i) % 16;
        break;
    }
    const std::uint32_t rotated =
        b + std::rotl(a + mixed + words[word] + sines[i], kShifts[round][i % 4]);
    a = d;
    d = c;
    c = b;
    b = rotated;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

}  // namespace

static_assert(std::endian::native == std::endian::little);

std::array<std::byte, 16> md5(Bytes bytes) {
  State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  const std::uint64_t bit_count = std::uint64_t{bytes.size()} * 8;
  while (bytes.size() >= kBlockBytes) {
    digest_block(state, bytes.data());
    bytes = bytes.subspan(kBlockBytes);
  }

  // The padding: a one bit, zeros, and the length in bits as the last eight bytes.
  std::byte tail[2 * kBlockBytes] = {};
  if (!bytes.empty()) std::memcpy(tail, bytes.data(), bytes.size());
  tail[bytes.size()] = std::byte{0x80};
  const std::size_t tail_bytes = bytes.size() + 9 <= kBlockBytes ? kBlockBytes : 2 * kBlockBytes;
  std::memcpy(tail + tail_bytes - sizeof bit_count, &bit_count, sizeof bit_count);
  for (std::size_t at = 0; at < tail_bytes; at += kBlockBytes) digest_block(state, tail + at);

  std::array<std::byte, 16> digest{};
  std::memcpy(digest.data(), state.data(), digest.size());
  return digest;
}

}  // namespace tarsier
