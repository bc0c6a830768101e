#include "tsdb/chunk/bit_stream.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

constexpr unsigned kLeadingMax = 31;  // What five bits can say.

/// Payload bits by the number of ones in the prefix.
constexpr std::array<std::uint8_t, 9> kPayloadBits = {0, 3, 6, 9, 12, 18, 25, 56, 64};
constexpr unsigned kPrefixOnesMax = 8;

constexpr unsigned prefix_bits(unsigned ones) { return ones == kPrefixOnesMax ? ones : ones + 1; }
/// So many ones and, unless they are the most there are, a zero.
constexpr std::uint64_t prefix(unsigned ones) {
  const std::uint64_t all = (std::uint64_t{1} << ones) - 1;
  return ones == kPrefixOnesMax ? all : all << 1;
}

/// n bits cover -(2^(n-1) - 1) .. 2^(n-1): the upper end is in, the lower is not.
constexpr bool fits_int(std::int64_t v, unsigned bits) {
  if (bits == 0) return v == 0;
  if (bits == 64) return true;
  const std::int64_t half = std::int64_t{1} << (bits - 1);
  return -half < v && v <= half;
}
constexpr bool fits_uint(std::uint64_t v, unsigned bits) {
  return bits == 64 || v < (std::uint64_t{1} << bits);
}

}  // namespace

void BitWriter::put(std::uint64_t v, unsigned count) {
  DCHECK(count >= 1 && count <= 64);
  while (count > 0) {
    const auto used = static_cast<unsigned>(bit_count_ & 7);
    if (used == 0) out_.push_back('\0');
    const unsigned now = std::min(8 - used, count);
    const auto part = static_cast<unsigned>(v >> (count - now)) & ((1u << now) - 1);
    out_.back() =
        static_cast<char>(static_cast<unsigned char>(out_.back()) | (part << (8 - used - now)));
    bit_count_ += now;
    count -= now;
  }
}

void BitWriter::put_varbit_int(std::int64_t v) {
  unsigned ones = 0;
  while (!fits_int(v, kPayloadBits[ones])) ++ones;
  put(prefix(ones), prefix_bits(ones));
  if (ones > 0) put(static_cast<std::uint64_t>(v), kPayloadBits[ones]);
}

void BitWriter::put_varbit_uint(std::uint64_t v) {
  unsigned ones = 0;
  while (v != 0 && (ones == 0 || !fits_uint(v, kPayloadBits[ones]))) ++ones;
  put(prefix(ones), prefix_bits(ones));
  if (ones > 0) put(v, kPayloadBits[ones]);
}

void BitWriter::put_xor(std::uint64_t bits, XorValue& state) {
  const std::uint64_t x = bits ^ state.bits;
  state.bits = bits;
  if (x == 0) return put(0b0, 1);
  const unsigned leading = std::min(static_cast<unsigned>(std::countl_zero(x)), kLeadingMax);
  const auto trailing = static_cast<unsigned>(std::countr_zero(x));
  // Without a window `leading` is below kNoWindow, so the first difference opens one.
  if (leading >= state.leading && trailing >= state.trailing) {
    put(0b10, 2);
    return put(x >> state.trailing, 64u - state.leading - state.trailing);
  }
  const unsigned significant = 64 - leading - trailing;
  put((std::uint64_t{0b11} << 11) | (leading << 6) | (significant & 63), 2 + 5 + 6);
  put(x >> trailing, significant);
  state.leading = static_cast<std::uint8_t>(leading);
  state.trailing = static_cast<std::uint8_t>(trailing);
}

std::uint64_t BitReader::peek_tail() const {
  std::uint64_t v = 0;
  const std::size_t byte = bit_ >> 3;
  const unsigned shift = bit_ & 7;
  for (std::size_t i = 0; i < 8; ++i) {
    v <<= 8;
    if (byte + i < size_) v |= static_cast<std::uint64_t>(data_[byte + i]);
  }
  v <<= shift;
  if (byte + 8 < size_) v |= static_cast<std::uint64_t>(data_[byte + 8]) >> (8 - shift);
  return v;
}

std::int64_t BitReader::varbit_int() {
  const std::uint64_t next = peek();
  const unsigned ones = std::min(static_cast<unsigned>(std::countl_one(next)), kPrefixOnesMax);
  const unsigned payload = kPayloadBits[ones];
  if (payload == 0) {
    consume(1);
    return 0;
  }
  if (payload == 64) {
    consume(kPrefixOnesMax);
    return static_cast<std::int64_t>(bits(64));
  }
  const unsigned front = prefix_bits(ones);
  consume(front + payload);
  std::uint64_t v = (next << front) >> (64 - payload);
  const std::uint64_t half = std::uint64_t{1} << (payload - 1);
  if (v > half) v -= half << 1;
  return static_cast<std::int64_t>(v);
}

std::uint64_t BitReader::varbit_uint() {
  const std::uint64_t next = peek();
  const unsigned ones = std::min(static_cast<unsigned>(std::countl_one(next)), kPrefixOnesMax);
  const unsigned payload = kPayloadBits[ones];
  if (payload == 0) {
    consume(1);
    return 0;
  }
  if (payload == 64) {
    consume(kPrefixOnesMax);
    return bits(64);
  }
  const unsigned front = prefix_bits(ones);
  consume(front + payload);
  return (next << front) >> (64 - payload);
}

std::uint64_t BitReader::uvarint() {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint64_t byte = bits(8);
    if (shift == 63 && byte > 1) break;
    v |= (byte & 0x7f) << shift;
    if (byte < 0x80) return v;
  }
  fail();
  return 0;
}

void BitReader::window(XorValue& state) {
  const auto leading = static_cast<unsigned>(bits(5));
  const auto significant = ((static_cast<unsigned>(bits(6)) + 63) & 63) + 1;  // 0 says 64.
  if (leading + significant > 64) return fail();
  state.leading = static_cast<std::uint8_t>(leading);
  state.trailing = static_cast<std::uint8_t>(64 - leading - significant);
}

void BitReader::inside_window(XorValue& state) {
  if (state.leading == XorValue::kNoWindow) return fail();
  const unsigned significant = 64u - state.leading - state.trailing;
  state.bits ^= bits(significant) << state.trailing;
}

}  // namespace tarsier::tsdb
