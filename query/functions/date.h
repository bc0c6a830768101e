#pragma once

#include "query/parse/function_table.h"

namespace tarsier::query {

/// year, month, day_of_month, day_of_week, day_of_year, days_in_month, hour or minute of seconds
/// since 1970, UTC, in the proleptic Gregorian calendar. NaN where no such date can be named.
double date_part(FunctionId part, double seconds);

}  // namespace tarsier::query
