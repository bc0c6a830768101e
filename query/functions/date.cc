#include "query/functions/date.h"

#include <cmath>

#include <fmt/format.h>

#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

struct Date {
  std::int64_t year = 1970;
  int month = 1;  ///< From 1.
  int day = 1;    ///< From 1.
};

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin in
/// March, so that the leap day is the last day of one.
Date date_of(std::int64_t days_since_1970) {
  const std::int64_t z = days_since_1970 + 719'468;
  const std::int64_t era = floor_divide(z, 146'097);
  const std::int64_t day_of_era = z - era * 146'097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  Date date;
  date.day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  date.month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
  return date;
}

bool is_leap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in_month(const Date& date) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return date.month == 2 && is_leap(date.year) ? 29 : kDays[date.month - 1];
}

int day_of_year(const Date& date) {
  int days = date.day;
  for (Date d{date.year, 1, 1}; d.month < date.month; ++d.month) days += days_in_month(d);
  return days;
}

}  // namespace

double date_part(FunctionId part, double seconds) {
  if (!(std::fabs(seconds) < 1e15)) return normal_nan();
  const auto whole = static_cast<std::int64_t>(seconds);
  const std::int64_t days = floor_divide(whole, kSecondsPerDay);
  const std::int64_t second = whole - days * kSecondsPerDay;
  switch (part) {
    case FunctionId::kMinute: return static_cast<double>(second / 60 % 60);
    case FunctionId::kHour: return static_cast<double>(second / 3600);
    case FunctionId::kDayOfWeek: {
      const std::int64_t since_sunday = days + 4;  // 1970-01-01 was a Thursday.
      return static_cast<double>(since_sunday - floor_divide(since_sunday, 7) * 7);
    }
    default: break;
  }
  const Date date = date_of(days);
  switch (part) {
    case FunctionId::kYear: return static_cast<double>(date.year);
    case FunctionId::kMonth: return date.month;
    case FunctionId::kDayOfMonth: return date.day;
    case FunctionId::kDayOfYear: return day_of_year(date);
    case FunctionId::kDaysInMonth: return days_in_month(date);
    default: return normal_nan();
  }
}

std::string rfc3339_text(std::int64_t time_ms) {
  const std::int64_t seconds = floor_divide(time_ms, 1000);
  const std::int64_t fraction = time_ms - seconds * 1000;
  const std::int64_t days = floor_divide(seconds, kSecondsPerDay);
  const std::int64_t second = seconds - days * kSecondsPerDay;
  const Date date = date_of(days);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year, date.month,
                                 date.day, second / 3600, second / 60 % 60, second % 60);
  if (fraction != 0) {
    text += fmt::format(".{:03}", fraction);
    while (text.back() == '0') text.pop_back();
  }
  return text + "Z";
}

}  // namespace tarsier::query
