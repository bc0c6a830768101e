#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace tarsier {

/// CRC-32 Castagnoli (reflected polynomial 0x82F63B78) of `bytes`, continuing from `crc`, the
/// checksum of what came before (0 at the start): crc32c(b, crc32c(a)) is the checksum of a then b.
std::uint32_t crc32c(Bytes bytes, std::uint32_t crc = 0);

}  // namespace tarsier
