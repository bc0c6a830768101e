#include "tsdb/block/ulid.h"

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kTextSize = 26;  // 130 bits: the two highest are always zero.
constexpr std::size_t kTimeBytes = 6;
__extension__ typedef unsigned __int128 Bits128;  // Not in ISO C++, in both our compilers.

}  // namespace

std::string Ulid::to_string() const {
  std::string text(kTextSize, '0');
  Bits128 value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  for (std::size_t i = kTextSize; i > 0; --i) {
    text[i - 1] = kDigits[static_cast<std::size_t>(value & 31)];
    value >>= 5;
  }
  return text;
}

Timestamp Ulid::created() const {
  std::int64_t ms = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) ms = ms << 8 | bytes[i];
  return {ms};
}

Ulid make_ulid(Timestamp now, std::span<const std::byte, 10> entropy) {
  CHECK(now.ms >= 0 && now.ms < std::int64_t{1} << 48, std::to_string(now.ms));
  Ulid ulid;
  for (std::size_t i = 0; i < kTimeBytes; ++i) {
    ulid.bytes[i] = static_cast<std::uint8_t>(now.ms >> (8 * (kTimeBytes - 1 - i)));
  }
  for (std::size_t i = 0; i < entropy.size(); ++i) {
    ulid.bytes[kTimeBytes + i] = static_cast<std::uint8_t>(entropy[i]);
  }
  return ulid;
}

std::optional<Ulid> parse_ulid(std::string_view text) {
  if (text.size() != kTextSize || text[0] > '7') return std::nullopt;
  Bits128 value = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) return std::nullopt;
    value = value << 5 | digit;
  }
  Ulid ulid;
  for (std::size_t i = ulid.bytes.size(); i > 0; --i) {
    ulid.bytes[i - 1] = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
  return ulid;
}

}  // namespace tarsier::tsdb
