#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/time_zone.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

/// Both ends belong to it.
struct NumberRange {
  int begin = 0;
  int end = 0;
  bool contains(int n) const { return begin <= n && n <= end; }
};

/// Minutes of the day, the end not included.
struct MinuteRange {
  int begin = 0;
  int end = 1440;
};

/// One entry of Alertmanager's time_intervals: a moment is in it when it is in one range of every
/// list that is not empty.
struct TimeInterval {
  std::vector<MinuteRange> times;
  std::vector<NumberRange> weekdays;       ///< 0 is Sunday.
  std::vector<NumberRange> days_of_month;  ///< Negative ones count from the month's end.
  std::vector<NumberRange> months;
  std::vector<NumberRange> years;
  TimeZone zone = TimeZone::utc();

  bool contains(Timestamp t) const;
};

/// `09:00`, at most `24:00`, in minutes.
Result<int> parse_minute_of_day(std::string_view text);
/// `monday`, `monday:friday`, in any case.
Result<NumberRange> parse_weekday_range(std::string_view text);
/// `1`, `1:5`, `-3:-1`.
Result<NumberRange> parse_day_of_month_range(std::string_view text);
/// `january:march`, `1:3`.
Result<NumberRange> parse_month_range(std::string_view text);
/// `2026`, `2026:2030`.
Result<NumberRange> parse_year_range(std::string_view text);

}  // namespace tarsier::alerting
