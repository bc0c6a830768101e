#include "alerting/template/go_time.h"

#include <array>
#include <cctype>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/calendar.h"

namespace tarsier::alerting {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

/// The parts a layout may have, longer ones before those they begin with.
enum class Part : unsigned char {
  kNone,
  kLongMonth,
  kMonth,
  kNumMonth,
  kZeroMonth,
  kLongWeekday,
  kWeekday,
  kDay,
  kUnderDay,
  kZeroDay,
  kUnderYearDay,
  kZeroYearDay,
  kHour,
  kHour12,
  kZeroHour12,
  kMinute,
  kZeroMinute,
  kSecond,
  kZeroSecond,
  kLongYear,
  kYear,
  kUpperPm,
  kLowerPm,
  kZoneName,
  kIsoZone,       // Z0700
  kIsoZoneColon,  // Z07:00
  kIsoZoneShort,  // Z07
  kZone,          // -0700
  kZoneColon,     // -07:00
  kZoneShort,     // -07
  kFractionZeros,
  kFractionNines,
};

struct PartText {
  std::string_view text;
  Part part;
};
constexpr PartText kParts[] = {
    {"January", Part::kLongMonth}, {"Jan", Part::kMonth},        {"Monday", Part::kLongWeekday},
    {"Mon", Part::kWeekday},       {"MST", Part::kZoneName},     {"2006", Part::kLongYear},
    {"__2", Part::kUnderYearDay},  {"_2", Part::kUnderDay},      {"002", Part::kZeroYearDay},
    {"01", Part::kZeroMonth},      {"02", Part::kZeroDay},       {"03", Part::kZeroHour12},
    {"04", Part::kZeroMinute},     {"05", Part::kZeroSecond},    {"06", Part::kYear},
    {"15", Part::kHour},           {"1", Part::kNumMonth},       {"2", Part::kDay},
    {"3", Part::kHour12},          {"4", Part::kMinute},         {"5", Part::kSecond},
    {"PM", Part::kUpperPm},        {"pm", Part::kLowerPm},       {"-07:00", Part::kZoneColon},
    {"-0700", Part::kZone},        {"-07", Part::kZoneShort},    {"Z07:00", Part::kIsoZoneColon},
    {"Z0700", Part::kIsoZone},     {"Z07", Part::kIsoZoneShort},
};

struct Found {
  Part part = Part::kNone;
  std::size_t size = 1;
};

/// The part that `layout` begins with, if it begins with one.
Found part_at(std::string_view layout) {
  if (layout.starts_with("_2006")) return {};  // An underscore and then the year.
  for (const PartText& candidate : kParts) {
    if (!layout.starts_with(candidate.text)) continue;
    const bool is_short_name = candidate.part == Part::kMonth || candidate.part == Part::kWeekday;
    const bool goes_on = layout.size() > 3 && layout[3] >= 'a' && layout[3] <= 'z';
    if (is_short_name && goes_on) continue;
    return {candidate.part, candidate.text.size()};
  }
  if (layout.size() < 2 || (layout[0] != '.' && layout[0] != ',')) return {};
  const char digit = layout[1];
  if (digit != '0' && digit != '9') return {};
  std::size_t end = 1;
  while (end < layout.size() && layout[end] == digit) ++end;
  if (end < layout.size() && std::isdigit(static_cast<unsigned char>(layout[end])) != 0) return {};
  return {digit == '0' ? Part::kFractionZeros : Part::kFractionNines, end};
}

void append_zone(std::string& out, int offset_s, Part part) {
  const bool iso =
      part == Part::kIsoZone || part == Part::kIsoZoneColon || part == Part::kIsoZoneShort;
  if (iso && offset_s == 0) {
    out += 'Z';
    return;
  }
  const int total = std::abs(offset_s) / 60;
  out += offset_s < 0 ? '-' : '+';
  out += fmt::format("{:02}", total / 60);
  if (part == Part::kIsoZoneShort || part == Part::kZoneShort) return;
  if (part == Part::kIsoZoneColon || part == Part::kZoneColon) out += ':';
  out += fmt::format("{:02}", total % 60);
}

void append_fraction(std::string& out, std::int32_t ns, std::string_view layout, Part part) {
  std::string digits =
      fmt::format("{:09}", ns).substr(0, std::min<std::size_t>(9, layout.size() - 1));
  if (part == Part::kFractionNines) {
    while (!digits.empty() && digits.back() == '0') digits.pop_back();
    if (digits.empty()) return;
  } else {
    digits.resize(layout.size() - 1, '0');
  }
  out += layout[0];
  out += digits;
}

void append_part(std::string& out, const GoTime& t, const CivilTime& c, Part part,
                 std::string_view layout) {
  const int hour12 = c.hour % 12 == 0 ? 12 : c.hour % 12;
  const auto put = [&](std::string_view format, auto value) {
    out += fmt::format(fmt::runtime(format), value);
  };
  const std::string_view month = kMonths[static_cast<std::size_t>(c.month - 1)];
  const std::string_view weekday = kWeekdays[static_cast<std::size_t>(c.weekday)];
  switch (part) {
    case Part::kNone: break;
    case Part::kLongMonth: out += month; break;
    case Part::kMonth: out += month.substr(0, 3); break;
    case Part::kNumMonth: put("{}", c.month); break;
    case Part::kZeroMonth: put("{:02}", c.month); break;
    case Part::kLongWeekday: out += weekday; break;
    case Part::kWeekday: out += weekday.substr(0, 3); break;
    case Part::kDay: put("{}", c.day); break;
    case Part::kUnderDay: put("{:2}", c.day); break;
    case Part::kZeroDay: put("{:02}", c.day); break;
    case Part::kUnderYearDay: put("{:3}", c.year_day); break;
    case Part::kZeroYearDay: put("{:03}", c.year_day); break;
    case Part::kHour: put("{:02}", c.hour); break;
    case Part::kHour12: put("{}", hour12); break;
    case Part::kZeroHour12: put("{:02}", hour12); break;
    case Part::kMinute: put("{}", c.minute); break;
    case Part::kZeroMinute: put("{:02}", c.minute); break;
    case Part::kSecond: put("{}", c.second); break;
    case Part::kZeroSecond: put("{:02}", c.second); break;
    case Part::kLongYear: put("{:04}", c.year); break;
    case Part::kYear: put("{:02}", ((c.year % 100) + 100) % 100); break;
    case Part::kUpperPm: out += c.hour >= 12 ? "PM" : "AM"; break;
    case Part::kLowerPm: out += c.hour >= 12 ? "pm" : "am"; break;
    case Part::kZoneName: out += t.zone; break;
    case Part::kIsoZone:
    case Part::kIsoZoneColon:
    case Part::kIsoZoneShort:
    case Part::kZone:
    case Part::kZoneColon:
    case Part::kZoneShort: append_zone(out, t.offset_s, part); break;
    case Part::kFractionZeros:
    case Part::kFractionNines: append_fraction(out, t.ns, layout, part); break;
  }
}

}  // namespace

GoTime go_time(Timestamp t) {
  const std::int64_t seconds = floor_div(t.ms, 1000);
  return {seconds, static_cast<std::int32_t>((t.ms - seconds * 1000) * 1'000'000), 0, "UTC"};
}

CivilTime civil_time(const GoTime& t) {
  const std::int64_t local = t.unix_s + t.offset_s;
  const std::int64_t days = floor_div(local, 86'400);
  const auto second = static_cast<int>(local - days * 86'400);
  const Date date = date_from(days);
  CivilTime civil;
  civil.year = date.year;
  civil.month = date.month;
  civil.day = date.day;
  civil.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  civil.year_day = static_cast<int>(days - days_from({date.year, 1, 1})) + 1;
  civil.hour = second / 3600;
  civil.minute = second / 60 % 60;
  civil.second = second % 60;
  return civil;
}

GoTime add_to_time(GoTime t, GoDuration d) {
  const std::int64_t seconds = floor_div(d.ns, 1'000'000'000);
  std::int64_t ns = t.ns + (d.ns - seconds * 1'000'000'000);
  t.unix_s += seconds;
  if (ns >= 1'000'000'000) {
    ns -= 1'000'000'000;
    ++t.unix_s;
  }
  t.ns = static_cast<std::int32_t>(ns);
  return t;
}

GoDuration time_between(const GoTime& earlier, const GoTime& later) {
  const double rough = static_cast<double>(later.unix_s - earlier.unix_s) * 1e9;
  if (rough > 9.2e18) return {std::numeric_limits<std::int64_t>::max()};
  if (rough < -9.2e18) return {std::numeric_limits<std::int64_t>::min()};
  return {(later.unix_s - earlier.unix_s) * 1'000'000'000 + (later.ns - earlier.ns)};
}

std::string format_go_time(const GoTime& t, std::string_view layout) {
  const CivilTime civil = civil_time(t);
  std::string out;
  while (!layout.empty()) {
    const Found found = part_at(layout);
    const std::string_view text = layout.substr(0, found.size);
    if (found.part == Part::kNone) {
      out += text;
    } else {
      append_part(out, t, civil, found.part, text);
    }
    layout.remove_prefix(found.size);
  }
  return out;
}

std::string go_time_text(const GoTime& t) {
  return format_go_time(t, "2006-01-02 15:04:05.999999999 -0700 MST");
}

std::string go_rfc3339_nano(const GoTime& t) {
  return format_go_time(t, "2006-01-02T15:04:05.999999999Z07:00");
}

std::string go_duration_text(GoDuration d) {
  if (d.ns == 0) return "0s";
  std::string out = d.ns < 0 ? "-" : "";
  const auto magnitude =
      d.ns < 0 ? 0 - static_cast<std::uint64_t>(d.ns) : static_cast<std::uint64_t>(d.ns);
  // A whole part and up to `width` digits behind the point, without trailing zeros.
  const auto decimal = [](std::uint64_t value, std::uint64_t unit, int width) {
    std::string text = std::to_string(value / unit);
    if (value % unit == 0) return text;
    text += '.' + fmt::format("{:0{}}", value % unit, width);
    while (text.back() == '0') text.pop_back();
    return text;
  };
  if (magnitude < 1000) return out + std::to_string(magnitude) + "ns";
  if (magnitude < 1'000'000) return out + decimal(magnitude, 1000, 3) + "µs";
  if (magnitude < 1'000'000'000) return out + decimal(magnitude, 1'000'000, 6) + "ms";
  const std::uint64_t hour_ns = 3'600'000'000'000;
  const std::uint64_t minute_ns = 60'000'000'000;
  const bool has_hours = magnitude >= hour_ns;
  if (has_hours) out += std::to_string(magnitude / hour_ns) + "h";
  if (magnitude >= minute_ns) out += std::to_string(magnitude % hour_ns / minute_ns) + "m";
  return out + decimal(magnitude % minute_ns, 1'000'000'000, 9) + "s";
}

}  // namespace tarsier::alerting
