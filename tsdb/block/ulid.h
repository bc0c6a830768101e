#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"

namespace tarsier::tsdb {

/// A block's name: 48 bits of creation time in milliseconds, then 80 random bits, big-endian; in
/// text 26 digits of Crockford's base 32. Order of values, of texts and of creation are the same.
struct Ulid {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Ulid&) const = default;
  std::string to_string() const;
  Timestamp created() const;
};

/// REQUIRES: 0 <= now.ms < 2^48. Uniqueness is as good as `entropy`.
Ulid make_ulid(Timestamp now, std::span<const std::byte, 10> entropy);

/// Strict: 26 upper-case digits, the first not above '7'. Whatever else a directory is called, it
/// is not a block.
std::optional<Ulid> parse_ulid(std::string_view text);

}  // namespace tarsier::tsdb
