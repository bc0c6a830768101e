#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/time_zone.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

// The arithmetic of error budgets. E = bad / total over a window, B = 1 - objective, burn rate
// b = E / B. A tier fires while b > factor in its long and in its short window.

enum class Severity : unsigned char { kPage, kTicket };
/// "page", "ticket".
std::string_view severity_name(Severity severity);

/// Which burn rates fire. The usual comparison is strict.
enum class BurnComparison : unsigned char { kAbove, kAtLeast, kBelow, kAtMost };
/// ">", ">=", "<", "<=".
std::string_view sign_of(BurnComparison comparison);

/// One pair of windows with the burn rate above which it fires.
struct BurnTier {
  Severity severity = Severity::kPage;
  Duration long_window;
  Duration short_window;  ///< Equal to the long one: a single-window tier.
  double factor = 0;
  Duration hold{0};  ///< `for`
  BurnComparison comparison = BurnComparison::kAbove;
  bool operator==(const BurnTier&) const = default;
};

/// What keeps a few errors among few events from being an alert. Zero: not asked for.
struct BurnGuards {
  std::uint64_t min_bad_events = 0;  ///< In the long window.
  std::uint64_t min_events = 0;      ///< In the long window.
  bool needs_confidence = false;     ///< Wilson's lower bound of E, 95 %, in both windows.
  bool weighs_traffic = false;       ///< The tier's share of the period's actual events is spent.
  bool operator==(const BurnGuards&) const = default;
};

enum class CalendarUnit : unsigned char { kNone, kWeek, kMonth, kQuarter, kYear };

/// The time a budget is for: the last `length`, or what has passed of a calendar unit.
struct SloPeriod {
  Duration length = days(30);  ///< Of a rolling one.
  CalendarUnit unit = CalendarUnit::kNone;
  std::string zone_name;  ///< Of a calendar one: "Europe/Paris"; empty is UTC.
  std::optional<TimeZone> zone = std::nullopt;  ///< The same, loaded by whoever has files.
  bool is_calendar() const { return unit != CalendarUnit::kNone; }
  bool operator==(const SloPeriod& other) const {
    return length == other.length && unit == other.unit && zone_name == other.zone_name;
  }
};
/// A rolling period's length; of a calendar unit its longest.
Duration longest_period(const SloPeriod& period);
/// The length that tiers are computed for: 7d, 30d, 90d, 365d for calendar units.
Duration nominal_period(const SloPeriod& period);
/// Where the budget begins that holds at `t`: events after it count.
Timestamp period_start(const SloPeriod& period, Timestamp t);
/// "30d", "month"
std::string period_text(const SloPeriod& period);

/// percent of the budget, spent when the long window is full at that rate, as a factor. In the
/// operation order of Sloth.
double burn_factor(double budget_percent, Duration period, Duration long_window);
/// The four tiers for a period: 2 % in 1h, 5 % in 6h, 10 % in 1d and 3d from 28 days on; larger
/// shares for shorter periods, where those factors would be below 1. Windows longer than the period
/// are left out.
std::vector<BurnTier> default_tiers(Duration period);
/// Pyrra's: factors 14, 7, 2, 1 and windows that scale with the period, to the minute.
std::vector<BurnTier> scaled_tiers(Duration period);

/// Until a tier fires, from the begin of a steady share of errors on clean history; nothing if it
/// never does.
std::optional<Duration> detection_time(const BurnTier& tier, double budget, double error_ratio);
/// Until it is over after full recovery of a fault that lasted at least the short window.
std::optional<Duration> reset_time(const BurnTier& tier, double budget, double error_ratio);
/// Whether any share of errors can make it fire.
inline bool is_reachable(const BurnTier& tier, double budget) { return tier.factor * budget < 1; }
/// The lowest objective, as a ratio, at which a factor can fire.
inline double lowest_objective(double factor) { return 1 - 1 / factor; }
/// Of the whole budget: how long it lasts at a burn rate with a share of it left. Never negative;
/// nothing where it lasts for ever.
std::optional<Duration> time_to_exhaustion(double burn_rate, double remaining, Duration period);
/// The lower bound of the share `bad / total` at 95 % confidence (Wilson's score interval).
double wilson_lower_bound(double bad, double total);
/// How long samples must be missing before that is an alert of its own: as if all were errors, and
/// at least `at_least` (Pyrra's formula), rounded up to minutes.
Duration no_data_wait(const std::vector<BurnTier>& tiers, double budget, Duration at_least);

}  // namespace tarsier::alerting
