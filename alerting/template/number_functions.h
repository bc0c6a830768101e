#pragma once

#include <string>

#include "base/result.h"

namespace tarsier::alerting {

/// `1.235M`: four digits and a power of 1000, `120m` below one.
std::string humanize(double v);
/// `1Mi`: four digits and a power of 1024.
std::string humanize_1024(double v);
/// `1d 0h 0m 0s`, `12.35s`, `100ms`.
std::string humanize_seconds(double v);
/// `12.35%` of 0.12345.
std::string humanize_percentage(double v);
/// `2015-06-23 13:13:04.128 +0000 UTC`; kInvalid beyond what 64-bit nanoseconds can say.
Result<std::string> humanize_timestamp(double v);
/// %.4g
std::string four_digits(double v);

}  // namespace tarsier::alerting
