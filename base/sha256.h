#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/bytes.h"

namespace tarsier {

using Sha256 = std::array<std::byte, 32>;

/// The SHA-256 digest of `bytes` (FIPS 180-4).
Sha256 sha256(Bytes bytes);
/// HMAC-SHA-256 (RFC 2104).
Sha256 hmac_sha256(Bytes key, Bytes message);
/// 64 lower-case hex digits.
std::string hex_text(const Sha256& digest);

}  // namespace tarsier
