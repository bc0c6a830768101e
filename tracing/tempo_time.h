#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace tarsier::tracing {

/// Tempo's times: up to ten digits are seconds, more are nanoseconds, seconds may have a fraction,
/// or RFC 3339.
Result<std::int64_t> parse_tempo_time_ns(std::string_view text);
/// `30s`, `1h30m`, or seconds as a plain number.
Result<std::int64_t> parse_tempo_duration_ns(std::string_view text);

}  // namespace tarsier::tracing
