#pragma once

#include <cstdint>

#include "base/time.h"

namespace tarsier::server {

// The only places in the house where a clock is read.

/// Wall-clock time.
Timestamp now();
/// Nanoseconds that never jump, for measuring how long something took.
std::int64_t monotonic_ns();

}  // namespace tarsier::server
