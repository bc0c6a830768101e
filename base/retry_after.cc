#include "base/retry_after.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/ascii.h"
#include "base/calendar.h"

namespace tarsier {
namespace {

constexpr Duration kLongest = hours(1);

std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0) return std::nullopt;
  return value;
}

Duration read(std::string_view text, Timestamp now) {
  text = trimmed(text);
  if (const std::optional<int> n = parse_number(text)) return seconds(*n);
  // `Sun, 06 Nov 1994 08:49:37 GMT`
  if (text.size() != 29 || !text.ends_with(" GMT")) return Duration{0};
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::size_t month = kMonths.find(text.substr(8, 3));
  const auto part = [&](std::size_t at, std::size_t size) {
    return parse_number(text.substr(at, size));
  };
  const auto day = part(5, 2);
  const auto year = part(12, 4);
  const auto hour = part(17, 2);
  const auto minute = part(20, 2);
  const auto second = part(23, 2);
  if (month == std::string_view::npos || !day || !year || !hour || !minute || !second) {
    return Duration{0};
  }
  const std::int64_t days = days_from({*year, static_cast<int>(month / 3) + 1, *day});
  const Timestamp at{((days * 24 + *hour) * 60 + *minute) * 60'000 + *second * 1000};
  return std::max(at - now, Duration{0});
}

}  // namespace

Duration parse_retry_after(std::string_view text, Timestamp now) {
  return std::min(read(text, now), kLongest);
}

Duration retry_after(const HttpHeaders& headers, Timestamp now) {
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, "Retry-After")) return parse_retry_after(value, now);
  }
  return Duration{0};
}

}  // namespace tarsier
