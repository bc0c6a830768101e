#include "alerting/time_interval.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "alerting/template/go_time.h"
#include "base/ascii.h"
#include "base/calendar.h"

namespace tarsier::alerting {
namespace {

constexpr std::array<std::string_view, 7> kWeekdays = {"sunday",   "monday", "tuesday", "wednesday",
                                                       "thursday", "friday", "saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

template <std::size_t kCount>
std::optional<int> index_of(const std::array<std::string_view, kCount>& names,
                            std::string_view text) {
  const auto found = std::find(names.begin(), names.end(), ascii_lower(text));
  if (found == names.end()) return std::nullopt;
  return static_cast<int>(found - names.begin());
}

/// `a` or `a:b`, each read by `read`.
template <typename Read>
Result<NumberRange> parse_range(std::string_view text, const Read& read) {
  const std::size_t colon = text.find(':');
  const int begin = TRY(read(trimmed(text.substr(0, colon))));
  if (colon == std::string_view::npos) return NumberRange{begin, begin};
  const int end = TRY(read(trimmed(text.substr(colon + 1))));
  return NumberRange{begin, end};
}

Status backwards(std::string_view text) {
  return invalid("start of range is after its end: " + std::string(text));
}

template <typename Range, typename Contains>
bool in_one(const std::vector<Range>& ranges, const Contains& contains) {
  return ranges.empty() || std::any_of(ranges.begin(), ranges.end(), contains);
}

/// Negative days count from the end; what lies outside this month is cut.
NumberRange in_month(NumberRange range, int days) {
  const auto place = [&](int day) { return day < 0 ? days + day + 1 : day; };
  return {std::max(place(range.begin), 1), std::min(place(range.end), days)};
}

}  // namespace

bool TimeInterval::contains(Timestamp t) const {
  GoTime moment = go_time(t);
  moment.offset_s = zone.offset_at(moment.unix_s).seconds;
  const CivilTime civil = civil_time(moment);
  const int minute = civil.hour * 60 + civil.minute;
  const int days = days_in_month(civil.year, civil.month);
  const auto holds = [](int n) { return [n](NumberRange range) { return range.contains(n); }; };
  return in_one(times,
                [&](MinuteRange range) { return range.begin <= minute && minute < range.end; }) &&
         in_one(weekdays, holds(civil.weekday)) && in_one(months, holds(civil.month)) &&
         in_one(years, holds(static_cast<int>(civil.year))) &&
         in_one(days_of_month,
                [&](NumberRange range) { return in_month(range, days).contains(civil.day); });
}

Result<int> parse_minute_of_day(std::string_view text) {
  const auto bad = [&] {
    return invalid("couldn't parse timestamp " + std::string(text) + ", invalid format");
  };
  if (text.size() != 5 || text[2] != ':') return bad();
  const std::optional<int> hour = parse_int(text.substr(0, 2));
  const std::optional<int> minute = parse_int(text.substr(3));
  if (!hour || !minute || *hour < 0 || *minute < 0 || *minute > 59) return bad();
  const int total = *hour * 60 + *minute;
  return total > 1440 ? Result<int>(bad()) : Result<int>(total);
}

Result<NumberRange> parse_weekday_range(std::string_view text) {
  const NumberRange range = TRY(parse_range(text, [](std::string_view word) -> Result<int> {
    const std::optional<int> index = index_of(kWeekdays, word);
    if (!index) return invalid(std::string(word) + " is not a valid weekday");
    return *index;
  }));
  if (range.begin > range.end) return backwards(text);
  return range;
}

Result<NumberRange> parse_day_of_month_range(std::string_view text) {
  const NumberRange range = TRY(parse_range(text, [](std::string_view word) -> Result<int> {
    const std::optional<int> day = parse_int(word);
    if (!day || *day == 0 || *day < -31 || *day > 31) {
      return invalid(std::string(word) + " is not a valid day of the month: out of range");
    }
    return *day;
  }));
  if (range.begin < 0 && range.end > 0) {
    return invalid("end day must be negative if start day is negative");
  }
  // Compared in a month of 31 days, where every day exists.
  const auto place = [](int day) { return day < 0 ? 32 + day : day; };
  if (place(range.begin) > place(range.end)) return backwards(text);
  return range;
}

Result<NumberRange> parse_month_range(std::string_view text) {
  const NumberRange range = TRY(parse_range(text, [](std::string_view word) -> Result<int> {
    if (const std::optional<int> index = index_of(kMonths, word)) return *index + 1;
    const std::optional<int> month = parse_int(word);
    if (!month || *month < 1 || *month > 12) {
      return invalid(std::string(word) + " is not a valid month");
    }
    return *month;
  }));
  if (range.begin > range.end) return backwards(text);
  return range;
}

Result<NumberRange> parse_year_range(std::string_view text) {
  const NumberRange range = TRY(parse_range(text, [](std::string_view word) -> Result<int> {
    const std::optional<int> year = parse_int(word);
    if (!year || *year < 0) return invalid(std::string(word) + " is not a valid year");
    return *year;
  }));
  if (range.begin > range.end) return backwards(text);
  return range;
}

}  // namespace tarsier::alerting
