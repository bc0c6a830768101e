#include "base/bytes.h"

namespace tarsier {
namespace {

template <typename T>
void put_fixed(std::string& out, T big_endian) {
  char raw[sizeof(T)];
  std::memcpy(raw, &big_endian, sizeof raw);
  out.append(raw, sizeof raw);
}

}  // namespace

void put_be16(std::string& out, std::uint16_t v) { put_fixed(out, __builtin_bswap16(v)); }
void put_be32(std::string& out, std::uint32_t v) { put_fixed(out, __builtin_bswap32(v)); }
void put_be64(std::string& out, std::uint64_t v) { put_fixed(out, __builtin_bswap64(v)); }
void put_f64(std::string& out, double v) { put_be64(out, std::bit_cast<std::uint64_t>(v)); }

void put_uvarint(std::string& out, std::uint64_t v) {
  char raw[10];
  std::size_t size = 0;
  while (v >= 0x80) {
    raw[size++] = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  raw[size++] = static_cast<char>(v);
  out.append(raw, size);
}

void put_varint(std::string& out, std::int64_t v) { put_uvarint(out, zigzag(v)); }

void put_string(std::string& out, std::string_view text) {
  put_uvarint(out, text.size());
  out += text;
}

std::uint64_t ByteReader::uvarint() {
  const std::byte* const start = p_;
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (p_ == end_) break;
    const auto byte = static_cast<std::uint64_t>(*p_++);
    if (shift == 63 && byte > 1) break;
    v |= (byte & 0x7f) << shift;
    if (byte < 0x80) return failed_ ? 0 : v;
  }
  p_ = start;
  failed_ = true;
  return 0;
}

}  // namespace tarsier
