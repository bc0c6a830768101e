#pragma once

#include <cstdint>

namespace tarsier {

/// A day of the proleptic Gregorian calendar, UTC.
struct Date {
  std::int64_t year = 1970;
  int month = 1;  ///< From 1.
  int day = 1;    ///< From 1.
};

/// Days since 1970-01-01; negative before. REQUIRES: a year that a 64-bit time in milliseconds can
/// name.
std::int64_t days_from(Date date);
Date date_from(std::int64_t days);
int days_in_month(std::int64_t year, int month);

}  // namespace tarsier
