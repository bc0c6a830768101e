#pragma once

#include <array>
#include <cstddef>

#include "base/bytes.h"

namespace tarsier {

/// The MD5 digest of `bytes` (RFC 1321). Not for security: relabelling's `hashmod` is defined by
/// it.
std::array<std::byte, 16> md5(Bytes bytes);

}  // namespace tarsier
