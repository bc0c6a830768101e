#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tarsier::tsdb {

// Bit streams of histogram and XOR2 chunks: bits are put most significant first, the last byte is
// filled with zeros (FORMAT.md, "Bit streams").

/// What a number is XOR-coded against: its predecessor, and the window of bits that last changed.
struct XorValue {
  std::uint64_t bits = 0;
  std::uint8_t leading = kNoWindow;
  std::uint8_t trailing = 0;

  static constexpr std::uint8_t kNoWindow = 0xff;
};

/// Appends bits to a string of whole bytes. Plain value: the string is the caller's, always the
/// same one.
class BitWriter final {
 public:
  /// Goes on behind `bit_count` bits.
  explicit BitWriter(std::string& out, std::size_t bit_count) : out_(out), bit_count_(bit_count) {}

  /// REQUIRES: 1 <= count <= 64. Higher bits of `v` are ignored.
  void put(std::uint64_t v, unsigned count);
  void put_varbit_int(std::int64_t v);
  void put_varbit_uint(std::uint64_t v);
  /// The code of `bits` after `state`, which moves on.
  void put_xor(std::uint64_t bits, XorValue& state);
  std::size_t bit_count() const { return bit_count_; }

 private:
  std::string& out_;
  std::size_t bit_count_;
};

/// Reads bits without ever passing the end: a read past it gives zeros and makes the reader fail,
/// so a decoder checks once per sample. Borrows the bytes.
class BitReader final {
 public:
  explicit BitReader(Bytes bytes)
      : data_(bytes.data()), size_(bytes.size()), bit_end_(8 * bytes.size()) {}

  bool ok() const { return !failed_; }
  void fail() { failed_ = true; }
  std::size_t bit() const { return bit_; }
  std::size_t remaining_bits() const { return bit_ < bit_end_ ? bit_end_ - bit_ : 0; }

  /// REQUIRES: 1 <= count <= 64.
  std::uint64_t bits(unsigned count) {
    const std::uint64_t v = peek() >> (64 - count);
    consume(count);
    return v;
  }
  bool flag() { return bits(1) != 0; }
  std::int64_t varbit_int();
  std::uint64_t varbit_uint();
  /// Varints of whole bytes, wherever they begin.
  std::uint64_t uvarint();
  std::int64_t varint() { return unzigzag(uvarint()); }
  /// A window of 5 bits of leading zeros and 6 bits of length; fails if it is none.
  void window(XorValue& state);
  /// The bits of the window there is; fails without one.
  void inside_window(XorValue& state);
  void xored(XorValue& state) {
    const std::uint64_t next = peek();
    if ((next >> 63) == 0) return consume(1);
    consume(2);
    if ((next >> 62) == 0b11) window(state);
    inside_window(state);
  }

 private:
  /// The next 64 bits; zeros behind the end.
  std::uint64_t peek() const {
    const std::size_t byte = bit_ >> 3;
    const unsigned shift = bit_ & 7;
    if (byte + 9 > size_) return peek_tail();
    const std::uint64_t word = load_be<std::uint64_t>(data_ + byte) << shift;
    return word | (static_cast<std::uint64_t>(data_[byte + 8]) >> (8 - shift));
  }
  std::uint64_t peek_tail() const;
  void consume(unsigned count) {
    bit_ += count;
    if (bit_ > bit_end_) failed_ = true;
  }

  const std::byte* data_;
  std::size_t size_;
  std::size_t bit_ = 0;
  std::size_t bit_end_;
  bool failed_ = false;
};

}  // namespace tarsier::tsdb
