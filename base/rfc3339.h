#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace tarsier {

/// `2026-08-01T12:00:00.5+02:00`: date, `T`, time, optional fraction (cut to milliseconds), zone.
/// Nothing when any part is missing or out of its range.
std::optional<Timestamp> parse_rfc3339(std::string_view text);

/// In UTC with a `Z`, milliseconds without trailing zeros and only when there are any. Years
/// outside 0000-9999 are written with as many digits as they need.
std::string format_rfc3339(Timestamp t);
/// Always three digits of milliseconds: columns of log lines stay aligned.
std::string format_rfc3339_ms(Timestamp t);

}  // namespace tarsier
