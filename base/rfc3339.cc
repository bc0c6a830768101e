#include "base/rfc3339.h"

#include <cstdint>

#include <fmt/format.h>

#include "base/calendar.h"

namespace tarsier {
namespace {

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
