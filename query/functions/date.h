#pragma once

#include <cstdint>
#include <string>

#include "query/parse/function_table.h"

namespace tarsier::query {

/// year, month, day_of_month, day_of_week, day_of_year, days_in_month, hour or minute of seconds
/// since 1970, UTC, in the proleptic Gregorian calendar. NaN where no such date can be named.
double date_part(FunctionId part, double seconds);

/// "2026-01-02T03:04:05Z", fractions of a second only if there are any.
std::string rfc3339_text(std::int64_t time_ms);

}  // namespace tarsier::query
