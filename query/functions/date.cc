#include "query/functions/date.h"

#include <cmath>

#include "base/calendar.h"
#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

int day_of_year(const Date& date) {
  int days = date.day;
  for (Date d{date.year, 1, 1}; d.month < date.month; ++d.month)
    days += days_in_month(d.year, d.month);
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
  const Date date = date_from(days);
  switch (part) {
    case FunctionId::kYear: return static_cast<double>(date.year);
    case FunctionId::kMonth: return date.month;
    case FunctionId::kDayOfMonth: return date.day;
    case FunctionId::kDayOfYear: return day_of_year(date);
    case FunctionId::kDaysInMonth: return days_in_month(date.year, date.month);
    default: return normal_nan();
  }
}

}  // namespace tarsier::query
