#include "alerting/slo_math.h"

#include <algorithm>
#include <cmath>

#include "base/calendar.h"
#include "base/duration.h"

namespace tarsier::alerting {
namespace {

constexpr std::int64_t kDayS = 86'400;

struct Share {
  Severity severity;
  Duration long_window;
  Duration short_window;
  double percent;
  double percent_of_short_period;
};
/// The Workbook's windows and shares, and those of Sloth's 7-day example.
constexpr Share kShares[] = {
    {Severity::kPage, hours(1), minutes(5), 2, 8},
    {Severity::kPage, hours(6), minutes(30), 5, 12.5},
    {Severity::kTicket, days(1), hours(2), 10, 20},
    {Severity::kTicket, days(3), hours(6), 10, 42},
};

Duration rounded_to_minute(double ms) {
  return minutes(static_cast<std::int64_t>(std::llround(ms / 60'000)));
}

/// The first local day of the unit that holds `day`.
std::int64_t first_day(CalendarUnit unit, std::int64_t day) {
  const Date date = date_from(day);
  switch (unit) {
    case CalendarUnit::kNone: break;
    case CalendarUnit::kWeek: return day - (((day + 3) % 7 + 7) % 7);  // 1970-01-01 was a Thursday.
    case CalendarUnit::kMonth: return days_from({.year = date.year, .month = date.month, .day = 1});
    case CalendarUnit::kQuarter:
      return days_from({.year = date.year, .month = (date.month - 1) / 3 * 3 + 1, .day = 1});
    case CalendarUnit::kYear: return days_from({.year = date.year, .month = 1, .day = 1});
  }
  return day;
}

std::int64_t floor_divided(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

std::string_view severity_name(Severity severity) {
  return severity == Severity::kPage ? "page" : "ticket";
}

std::string_view sign_of(BurnComparison comparison) {
  switch (comparison) {
    case BurnComparison::kAbove: return ">";
    case BurnComparison::kAtLeast: return ">=";
    case BurnComparison::kBelow: return "<";
    case BurnComparison::kAtMost: return "<=";
  }
  return ">";
}

Duration longest_period(const SloPeriod& period) {
  switch (period.unit) {
    case CalendarUnit::kNone: return period.length;
    case CalendarUnit::kWeek: return days(7) + hours(1);  // Clocks are set back in some.
    case CalendarUnit::kMonth: return days(31) + hours(1);
    case CalendarUnit::kQuarter: return days(92) + hours(1);
    case CalendarUnit::kYear: return days(366) + hours(1);
  }
  return period.length;
}

Duration nominal_period(const SloPeriod& period) {
  switch (period.unit) {
    case CalendarUnit::kNone: return period.length;
    case CalendarUnit::kWeek: return days(7);
    case CalendarUnit::kMonth: return days(30);
    case CalendarUnit::kQuarter: return days(90);
    case CalendarUnit::kYear: return days(365);
  }
  return period.length;
}

Timestamp period_start(const SloPeriod& period, Timestamp t) {
  if (!period.is_calendar()) return t - period.length;
  const TimeZone zone = period.zone.value_or(TimeZone::utc());
  const std::int64_t unix_s = floor_divided(t.ms, 1000);
  const std::int64_t local_s = unix_s + zone.offset_at(unix_s).seconds;
  const std::int64_t begin_s = first_day(period.unit, floor_divided(local_s, kDayS)) * kDayS;
  // The offset that holds at the boundary may be another than now's.
  std::int64_t start_s = begin_s - zone.offset_at(begin_s).seconds;
  start_s = begin_s - zone.offset_at(start_s).seconds;
  return {start_s * 1000};
}

std::string period_text(const SloPeriod& period) {
  switch (period.unit) {
    case CalendarUnit::kNone: return format_duration(period.length);
    case CalendarUnit::kWeek: return "week";
    case CalendarUnit::kMonth: return "month";
    case CalendarUnit::kQuarter: return "quarter";
    case CalendarUnit::kYear: return "year";
  }
  return "";
}

double burn_factor(double budget_percent, Duration period, Duration long_window) {
  const double period_s = static_cast<double>(period.ms) / 1000;
  const double window_s = static_cast<double>(long_window.ms) / 1000;
  return budget_percent * period_s / (100 * window_s);
}

std::vector<BurnTier> default_tiers(Duration period) {
  std::vector<BurnTier> out;
  for (const Share& share : kShares) {
    if (share.long_window > period) continue;
    const double percent = period >= days(28) ? share.percent : share.percent_of_short_period;
    out.push_back({.severity = share.severity,
                   .long_window = share.long_window,
                   .short_window = share.short_window,
                   .factor = burn_factor(percent, period, share.long_window)});
  }
  return out;
}

std::vector<BurnTier> scaled_tiers(Duration period) {
  const double t = static_cast<double>(period.ms);
  const auto tier = [&](Severity severity, double factor, double long_parts, double short_parts,
                        double hold_parts) {
    return BurnTier{.severity = severity,
                    .long_window = rounded_to_minute(t / long_parts),
                    .short_window = rounded_to_minute(t / long_parts / short_parts),
                    .factor = factor,
                    .hold = rounded_to_minute(t / hold_parts)};
  };
  return {tier(Severity::kPage, 14, 672, 12, 20160), tier(Severity::kPage, 7, 112, 12, 2688),
          tier(Severity::kTicket, 2, 28, 12, 672), tier(Severity::kTicket, 1, 7, 16, 224)};
}

std::optional<Duration> detection_time(const BurnTier& tier, double budget, double error_ratio) {
  const double threshold = tier.factor * budget;
  if (!(error_ratio > threshold)) return std::nullopt;
  const double ms = threshold * static_cast<double>(tier.long_window.ms) / error_ratio;
  return Duration{static_cast<std::int64_t>(std::llround(ms))};
}

std::optional<Duration> reset_time(const BurnTier& tier, double budget, double error_ratio) {
  const double threshold = tier.factor * budget;
  if (!(error_ratio > threshold)) return std::nullopt;
  const double ms = static_cast<double>(tier.short_window.ms) * (1 - threshold / error_ratio);
  return Duration{static_cast<std::int64_t>(std::llround(ms))};
}

std::optional<Duration> time_to_exhaustion(double burn_rate, double remaining, Duration period) {
  if (remaining <= 0) return Duration{0};
  if (!(burn_rate > 0)) return std::nullopt;
  const double ms = remaining * static_cast<double>(period.ms) / burn_rate;
  if (!(ms < 3e15)) return std::nullopt;  // A hundred thousand years.
  return Duration{static_cast<std::int64_t>(ms)};
}

double wilson_lower_bound(double bad, double total) {
  if (!(total > 0) || !(bad > 0)) return 0;
  constexpr double kZ = 1.959963984540054;
  const double p = std::clamp(bad / total, 0.0, 1.0);
  const double z2 = kZ * kZ;
  const double centre = p + z2 / (2 * total);
  const double spread = kZ * std::sqrt(p * (1 - p) / total + z2 / (4 * total * total));
  return std::max(0.0, (centre - spread) / (1 + z2 / total));
}

Duration no_data_wait(const std::vector<BurnTier>& tiers, double budget, Duration at_least) {
  Duration wait = at_least;
  if (!tiers.empty()) {
    const BurnTier& fastest = tiers.front();
    const double ms = fastest.factor * budget * static_cast<double>(fastest.long_window.ms);
    const Duration detection{static_cast<std::int64_t>(std::min(ms, 1e15))};
    wait = std::max(wait, detection + fastest.hold);
  }
  return minutes((wait.ms + 59'999) / 60'000);
}

}  // namespace tarsier::alerting
