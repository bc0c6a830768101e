#include "base/rfc3339.h"

#include <cstdint>

#include <fmt/format.h>

namespace tarsier {
namespace {

struct Date {
  std::int64_t year = 1970;
  int month = 1;
  int day = 1;
};

// Both directions count days in 400-year eras that begin on 1 March, so that the leap day is the
// last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
constexpr std::int64_t kDaysPerEra = 146'097;
constexpr std::int64_t kEpochInEras = 719'468;  // 1970-01-01 counted from 0000-03-01.

constexpr std::int64_t days_from(Date date) {
  const std::int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year =
      (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * kDaysPerEra + day_of_era - kEpochInEras;
}

constexpr Date date_from(std::int64_t days) {
  days += kEpochInEras;
  const std::int64_t era = (days >= 0 ? days : days - kDaysPerEra + 1) / kDaysPerEra;
  const std::int64_t day_of_era = days - era * kDaysPerEra;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  Date date;
  date.day = static_cast<int>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  date.month =
      static_cast<int>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
  return date;
}
static_assert(days_from({1970, 1, 1}) == 0 && days_from({2000, 2, 29}) == 11'016);

int days_in_month(std::int64_t year, int month) {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/// Eats fixed-width parts from the front of a text; after a mismatch everything fails.
class Scanner final {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_[0]; }
  char take() {
    const char c = peek();
    if (rest_.empty()) {
      ok_ = false;
    } else {
      rest_.remove_prefix(1);
    }
    return c;
  }
  void literal(char c) {
    if (take() != c) ok_ = false;
  }
  int number(int digits, int least, int most) {
    int n = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = take();
      if (c < '0' || c > '9') ok_ = false;
      n = n * 10 + (c - '0');
    }
    if (n < least || n > most) ok_ = false;
    return n;
  }
  /// `.123456`: milliseconds, further digits cut off.
  int fraction_ms() {
    take();
    int ms = 0;
    int scale = 100;
    if (peek() < '0' || peek() > '9') ok_ = false;
    while (peek() >= '0' && peek() <= '9') {
      ms += (take() - '0') * scale;
      scale /= 10;
    }
    return ms;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Clock {
  Date date;
  std::int64_t ms_of_day = 0;
};

constexpr std::int64_t kMsPerDay = 86'400'000;

Clock clock_from(Timestamp t) {
  std::int64_t days = t.ms / kMsPerDay;
  std::int64_t ms = t.ms % kMsPerDay;
  if (ms < 0) {
    ms += kMsPerDay;
    --days;
  }
  return {date_from(days), ms};
}

std::string format_seconds(const Clock& clock) {
  const std::int64_t s = clock.ms_of_day / 1000;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", clock.date.year, clock.date.month,
                     clock.date.day, s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  Scanner scan(text);
  Date date;
  date.year = scan.number(4, 0, 9999);
  scan.literal('-');
  date.month = scan.number(2, 1, 12);
  scan.literal('-');
  date.day = scan.number(2, 1, 31);
  scan.literal('T');
  const int hour = scan.number(2, 0, 23);
  scan.literal(':');
  const int minute = scan.number(2, 0, 59);
  scan.literal(':');
  const int second = scan.number(2, 0, 59);
  const int ms = scan.peek() == '.' ? scan.fraction_ms() : 0;

  int offset_minutes = 0;
  const char zone = scan.take();
  if (zone == '+' || zone == '-') {
    offset_minutes = scan.number(2, 0, 24) * 60;
    scan.literal(':');
    offset_minutes += scan.number(2, 0, 59);
    if (zone == '-') offset_minutes = -offset_minutes;
  } else if (zone != 'Z') {
    return std::nullopt;
  }
  if (!scan.done() || date.day > days_in_month(date.year, date.month)) return std::nullopt;
  const std::int64_t total_minutes = hour * 60 + minute - offset_minutes;
  return Timestamp{days_from(date) * kMsPerDay + total_minutes * 60'000 + second * 1000 + ms};
}

std::string format_rfc3339(Timestamp t) {
  const Clock clock = clock_from(t);
  std::string out = format_seconds(clock);
  if (const std::int64_t ms = clock.ms_of_day % 1000; ms != 0) {
    out += fmt::format(".{:03}", ms);
    out.erase(out.find_last_not_of('0') + 1);
  }
  return out += 'Z';
}

std::string format_rfc3339_ms(Timestamp t) {
  const Clock clock = clock_from(t);
  return fmt::format("{}.{:03}Z", format_seconds(clock), clock.ms_of_day % 1000);
}

}  // namespace tarsier
