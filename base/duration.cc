#include "base/duration.h"

#include <charconv>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "base/quote.h"

namespace tarsier {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t ms;
};
/// From large to small: the order a duration must be written in.
constexpr Unit kUnits[] = {
    {"y", 365ull * 86'400'000},
    {"w", 7ull * 86'400'000},
    {"d", 86'400'000},
    {"h", 3'600'000},
    {"m", 60'000},
    {"s", 1000},
    {"ms", 1},
};
constexpr std::size_t kUnitCount = std::size(kUnits);

/// Prometheus holds durations as 64-bit nanoseconds; what it refuses, we refuse.
constexpr std::uint64_t kMsMax = std::numeric_limits<std::int64_t>::max() / 1'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t digit_count(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  return n;
}

std::size_t unit_size(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && !is_digit(text[n])) ++n;
  return n;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return invalid("empty duration string");
  if (text == "0") return Duration{0};
  const auto malformed = [&] {
    return invalid(fmt::format("not a valid duration string: {}", quote(text)));
  };
  std::uint64_t total_ms = 0;
  std::size_t next_unit = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view digits = rest.substr(0, digit_count(rest));
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (digits.empty() || error != std::errc{}) return malformed();
    rest.remove_prefix(digits.size());

    const std::string_view name = rest.substr(0, unit_size(rest));
    if (name.empty()) return malformed();
    rest.remove_prefix(name.size());
    std::size_t unit = 0;
    while (unit < kUnitCount && kUnits[unit].name != name) ++unit;
    if (unit == kUnitCount) {
      return invalid(fmt::format("unknown unit {} in duration {}", quote(name), quote(text)));
    }
    if (unit < next_unit) return malformed();
    next_unit = unit + 1;

    if (n > kMsMax / kUnits[unit].ms) return invalid("duration out of range");
    total_ms += n * kUnits[unit].ms;
    if (total_ms > kMsMax) return invalid("duration out of range");
  }
  return Duration{static_cast<std::int64_t>(total_ms)};
}

std::string format_duration(Duration duration) {
  if (duration.ms == 0) return "0s";
  std::string out;
  std::uint64_t rest = static_cast<std::uint64_t>(duration.ms);
  if (duration.ms < 0) {
    out = "-";
    rest = 0 - rest;
  }
  for (const Unit& unit : kUnits) {
    const bool only_when_exact = unit.name == "y" || unit.name == "w";
    if (only_when_exact && rest % unit.ms != 0) continue;
    if (rest < unit.ms) continue;
    out += fmt::format("{}{}", rest / unit.ms, unit.name);
    rest %= unit.ms;
  }
  return out;
}

}  // namespace tarsier
