#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace tarsier {

/// Reads a duration as configuration, flags and the API write it: `y w d h m s ms`, each at most
/// once and in this order, whole numbers (`1h30m`, `90s`, `100ms`), or `0`. A year is 365 days.
/// Never negative. kInvalid with the text users of Prometheus know.
Result<Duration> parse_duration(std::string_view text);

/// The canonical form: `1m30s`, `15d`; years and weeks only when nothing remains; `0s`; a leading
/// minus when negative.
std::string format_duration(Duration duration);

}  // namespace tarsier
