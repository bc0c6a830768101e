#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alerting/event_counts.h"
#include "alerting/slo.h"
#include "base/time.h"

namespace tarsier::alerting {

// What an objective's windows say at one moment, and what its tiers make of it. Pure: the live
// evaluation, a backtest and a simulation all go through here, so they cannot differ.

/// One window at one moment.
struct WindowValue {
  EventCounts events;  ///< Zero where only a ratio is known.
  /// Bad of all; NaN where nothing happened.
  double ratio = std::numeric_limits<double>::quiet_NaN();
  double coverage = 0;  ///< Of the window's length, how much there is data for. 0 to 1.
};

/// All of one group of an objective at one moment.
struct BurnReading {
  Timestamp t;
  std::vector<WindowValue> windows;  ///< As Slo::windows().
  WindowValue period;
  bool has_counts = true;  ///< False: ratios only, so guards that count have no effect.
  std::optional<Timestamp> last_sample;  ///< Of any series that is counted.
  std::optional<Timestamp> last_event;   ///< When `total` last grew.
  /// Since when samples are looked for: what their absence is measured from where there was none.
  std::optional<Timestamp> watched_since;
};
/// What is said of an objective, or of a group of it, that has no samples at all at `t`.
BurnReading reading_without_data(const Slo& slo, Timestamp t, std::optional<Timestamp> since);
/// How long samples must be missing before that is an alert.
Duration no_data_wait_of(const Slo& slo);
/// The ratio of counts, bounded: bad events that came before their total are not more than all.
inline double ratio_of(EventCounts events) {
  if (!(events.total > 0)) return std::numeric_limits<double>::quiet_NaN();
  return events.bad / events.total;
}

enum class TierStatus : unsigned char {
  kClear,
  kBurning,   ///< Above its factor in both windows.
  kHeldBack,  ///< The same, but too few events to say so.
  kUnknown,   ///< Its long window is not covered by data.
  kNoEvents,  ///< Nothing happened in its short window.
};
std::string_view tier_status_name(TierStatus status);
struct TierValue {
  TierStatus status = TierStatus::kUnknown;
  double long_ratio = 0;
  double short_ratio = 0;
  double threshold = 0;  ///< Of the ratios: factor times budget.
};
/// `out[i]` is for `slo.tiers()[i]`.
void judge_tiers(const Slo& slo, const BurnReading& reading, std::vector<TierValue>& out);

enum class SloState : unsigned char { kOk, kBurning, kNoTraffic, kNoData, kUnknown };
inline constexpr std::size_t kSloStates = 5;
/// "ok", "burning", "no_traffic", "no_data", "unknown".
std::string_view slo_state_name(SloState state);

/// Samples older than this have stopped.
inline constexpr Duration kSamplesStopped = minutes(5);

/// What is to be done about one severity.
struct Verdict {
  bool is_active = false;
  std::size_t tier = 0;        ///< The one that decides: burning, or held where data stopped.
  bool is_held = false;        ///< Active although there are no events now.
  bool lost_its_data = false;  ///< Not active any more because data stopped for too long.
};
struct Verdicts {
  std::array<Verdict, kAlertUnitsMax> by_unit;  ///< As Slo::alert_units().
  /// Of all alerts of a severity: the first that is active, or the first.
  std::array<Verdict, 2> by_severity;
  bool no_data = false;  ///< The alert about missing samples.
  SloState state = SloState::kUnknown;
  const Verdict& of(Severity severity) const {
    return by_severity[static_cast<std::size_t>(severity)];
  }
};

/// The memory of the tiers of one group: since when each burns, and which severities are active.
/// Time only goes forward. One thread at a time.
class BurnAlarm final {
 public:
  /// What `tiers` (of judge_tiers) mean at the reading's moment.
  Verdicts step(const Slo& slo, const BurnReading& reading, std::span<const TierValue> tiers);
  /// As after a restart: what becomes this alert was active.
  void restore(std::size_t unit) { active_.at(unit) = true; }

 private:
  Verdict judge(const Slo& slo, std::size_t unit, const BurnReading& reading,
                std::span<const TierValue> tiers) const;

  std::vector<std::optional<Timestamp>> burning_since_;
  // By unit.
  std::array<bool, kAlertUnitsMax> active_{};
  /// The tier that last fired, for holding it when data stops.
  std::array<std::size_t, kAlertUnitsMax> fired_tier_{};
};

/// One sentence: why what these tiers make fires or does not. "page: errors are 4.1 % over 1h and
/// 10 % over 5m, both above 1.44 % (14.4 times the budget of 0.1 %)".
std::string cause_text(const Slo& slo, const AlertUnit& unit, const BurnReading& reading,
                       std::span<const TierValue> tiers, const Verdict& verdict);

/// The share of the period's budget that is left; negative when it is overspent.
double budget_remaining(const Slo& slo, const WindowValue& period);

}  // namespace tarsier::alerting
