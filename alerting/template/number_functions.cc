#include "alerting/template/number_functions.h"

#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "alerting/template/go_time.h"
#include "base/number_text.h"

namespace tarsier::alerting {
namespace {

using Prefixes = std::array<std::string_view, 8>;
constexpr Prefixes kLarge = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
constexpr Prefixes kLarge1024 = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
constexpr Prefixes kSmall = {"m", "u", "n", "p", "f", "a", "z", "y"};

/// Divides by `base` as long as the value is not below it and there is a prefix for it.
std::string_view shrink(double& v, double base, const Prefixes& prefixes) {
  std::string_view used;
  for (const std::string_view prefix : prefixes) {
    if (std::fabs(v) < base) break;
    used = prefix;
    v /= base;
  }
  return used;
}

/// Multiplies by 1000 until the value is at least 1.
std::string_view enlarge(double& v) {
  std::string_view used;
  for (const std::string_view prefix : kSmall) {
    if (std::fabs(v) >= 1) break;
    used = prefix;
    v *= 1000;
  }
  return used;
}

}  // namespace

std::string four_digits(double v) {
  if (!std::isfinite(v)) return plain_number(v);
  char buffer[32];
  return {buffer,
          std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::general, 4).ptr};
}

std::string humanize(double v) {
  if (v == 0 || !std::isfinite(v)) return four_digits(v);
  const std::string_view prefix = std::fabs(v) >= 1 ? shrink(v, 1000, kLarge) : enlarge(v);
  return four_digits(v) + std::string(prefix);
}

std::string humanize_1024(double v) {
  if (std::fabs(v) <= 1 || !std::isfinite(v)) return four_digits(v);
  const std::string_view prefix = shrink(v, 1024, kLarge1024);
  return four_digits(v) + std::string(prefix);
}

std::string humanize_seconds(double v) {
  if (!std::isfinite(v)) return four_digits(v);
  if (v == 0) return four_digits(v) + "s";
  if (std::fabs(v) < 1) {
    const std::string_view prefix = enlarge(v);
    return four_digits(v) + std::string(prefix) + "s";
  }
  const std::string_view sign = v < 0 ? "-" : "";
  const double magnitude = std::fabs(v);
  // Beyond this the parts of a day mean nothing, and the number would not fit.
  if (magnitude >= 9.2e18) return fmt::format("{}{}s", sign, four_digits(magnitude));
  const auto whole = static_cast<std::int64_t>(magnitude);
  const std::int64_t second = whole % 60;
  const std::int64_t minute = whole / 60 % 60;
  const std::int64_t hour = whole / 3600 % 24;
  const std::int64_t day = whole / 86'400;
  if (day != 0) return fmt::format("{}{}d {}h {}m {}s", sign, day, hour, minute, second);
  if (hour != 0) return fmt::format("{}{}h {}m {}s", sign, hour, minute, second);
  if (minute != 0) return fmt::format("{}{}m {}s", sign, minute, second);
  return fmt::format("{}{}s", sign, four_digits(magnitude));
}

std::string humanize_percentage(double v) { return four_digits(v * 100) + "%"; }

Result<std::string> humanize_timestamp(double v) {
  if (!std::isfinite(v)) return four_digits(v);
  const double ns = v * 1e9;
  if (ns >= 9.223372036854775807e18 || ns <= -9.223372036854775808e18) {
    return invalid(short_number(v) +
                   " cannot be represented as a nanoseconds timestamp since it overflows int64");
  }
  // Towards zero and to milliseconds, as the time of a sample.
  return go_time_text(go_time(Timestamp{static_cast<std::int64_t>(ns) / 1'000'000}));
}

}  // namespace tarsier::alerting
