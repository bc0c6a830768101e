#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace tarsier {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Encoders append to a std::string, the growable byte buffer of the house, and never clear it.

inline void put_u8(std::string& out, std::uint8_t v) { out.push_back(static_cast<char>(v)); }
void put_be16(std::string& out, std::uint16_t v);
void put_be32(std::string& out, std::uint32_t v);
void put_be64(std::string& out, std::uint64_t v);
void put_f64(std::string& out, double v);                  ///< The bit pattern, big-endian.
void put_uvarint(std::string& out, std::uint64_t v);       ///< LEB128, at most 10 bytes.
void put_varint(std::string& out, std::int64_t v);         ///< Zigzag, then uvarint.
void put_string(std::string& out, std::string_view text);  ///< uvarint length, then the bytes.

constexpr std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

template <typename T>
inline T load_be(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(v);
}

/// Reads foreign bytes without ever passing their end. A read past the end, or a varint of more
/// than 64 bits, makes the reader fail: from then on every read gives zero or empty and `ok()` is
/// false, so a decoder checks once per record instead of once per field. Borrows the bytes.
class ByteReader final {
 public:
  explicit ByteReader(Bytes bytes) : begin_(bytes.data()), p_(begin_), end_(p_ + bytes.size()) {}

  bool ok() const { return !failed_; }
  bool empty() const { return p_ == end_; }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - p_); }
  /// Bytes consumed so far; where the bad field began after a failure.
  std::size_t offset() const { return static_cast<std::size_t>(p_ - begin_); }

  std::uint8_t u8() { return need(1) ? static_cast<std::uint8_t>(*p_++) : std::uint8_t{0}; }
  std::uint16_t be16() { return fixed<std::uint16_t>(); }
  std::uint32_t be32() { return fixed<std::uint32_t>(); }
  std::uint64_t be64() { return fixed<std::uint64_t>(); }
  double f64() { return std::bit_cast<double>(be64()); }
  std::uint64_t uvarint();
  std::int64_t varint() { return unzigzag(uvarint()); }
  /// The next `size` bytes, borrowed from the input.
  Bytes take(std::uint64_t size) {
    if (!need(size)) return {};
    const Bytes taken(p_, static_cast<std::size_t>(size));
    p_ += size;
    return taken;
  }
  /// A uvarint length and that many bytes, borrowed from the input.
  std::string_view string() { return as_text(take(uvarint())); }

 private:
  bool need(std::uint64_t size) {
    if (failed_ || size > remaining()) {
      failed_ = true;
      return false;
    }
    return true;
  }
  template <typename T>
  T fixed() {
    if (!need(sizeof(T))) return 0;
    const T v = load_be<T>(p_);
    p_ += sizeof(T);
    return v;
  }

  const std::byte* begin_;
  const std::byte* p_;
  const std::byte* end_;
  bool failed_ = false;
};

}  // namespace tarsier
