#include "alerting/burn_rate.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/number_text.h"

namespace tarsier::alerting {
namespace {

/// Windows begin with the first sample, and samples are a while apart.
constexpr double kCovered = 0.98;

const WindowValue& window_value(const Slo& slo, const BurnReading& reading, Duration window) {
  const std::vector<Duration>& windows = slo.windows();
  const auto at = std::lower_bound(windows.begin(), windows.end(), window);
  DCHECK(at != windows.end() && *at == window);
  return reading.windows[static_cast<std::size_t>(at - windows.begin())];
}

bool fires_at(BurnComparison comparison, double ratio, double threshold) {
  switch (comparison) {
    case BurnComparison::kAbove: return ratio > threshold;
    case BurnComparison::kAtLeast: return ratio >= threshold;
    case BurnComparison::kBelow: return ratio < threshold;
    case BurnComparison::kAtMost: return ratio <= threshold;
  }
  return false;
}

bool passes_guards(const Slo& slo, const BurnTier& tier, const BurnGuards& guards,
                   const BurnReading& reading, const WindowValue& longer,
                   const WindowValue& shorter, double threshold) {
  if (!reading.has_counts) return true;
  if (guards.min_bad_events > 0 && longer.events.bad < static_cast<double>(guards.min_bad_events)) {
    return false;
  }
  if (guards.min_events > 0 && longer.events.total < static_cast<double>(guards.min_events)) {
    return false;
  }
  if (guards.needs_confidence) {
    for (const WindowValue* const window : {&longer, &shorter}) {
      if (!(wilson_lower_bound(window->events.bad, window->events.total) > threshold)) return false;
    }
  }
  if (guards.weighs_traffic) {
    const Duration period = nominal_period(slo.definition().period);
    const double share =
        tier.factor * static_cast<double>(tier.long_window.ms) / static_cast<double>(period.ms);
    if (longer.events.bad < share * slo.budget() * reading.period.events.total) return false;
  }
  return true;
}

std::string percent(double ratio) {
  if (std::isnan(ratio)) return "unknown";
  const double value = 100 * ratio;
  return fmt::format("{:.{}g} %", value, value >= 100 ? 4 : 3);
}

Duration hold_of(const Slo& slo, const BurnTier& tier) {
  return slo.definition().alerts.hold_without_data.value_or(tier.long_window);
}

}  // namespace

BurnReading reading_without_data(const Slo& slo, Timestamp t, std::optional<Timestamp> since) {
  BurnReading out{.t = t, .has_counts = false, .watched_since = since};
  out.windows.resize(slo.windows().size());
  return out;
}

Duration no_data_wait_of(const Slo& slo) {
  return slo.definition().alerts.no_data_wait.value_or(
      no_data_wait(slo.tiers(), slo.budget(), kSamplesStopped));
}

std::string_view tier_status_name(TierStatus status) {
  switch (status) {
    case TierStatus::kClear: return "clear";
    case TierStatus::kBurning: return "burning";
    case TierStatus::kHeldBack: return "held_back";
    case TierStatus::kUnknown: return "unknown";
    case TierStatus::kNoEvents: return "no_events";
  }
  return "";
}

std::string_view slo_state_name(SloState state) {
  switch (state) {
    case SloState::kOk: return "ok";
    case SloState::kBurning: return "burning";
    case SloState::kNoTraffic: return "no_traffic";
    case SloState::kNoData: return "no_data";
    case SloState::kUnknown: return "unknown";
  }
  return "";
}

void judge_tiers(const Slo& slo, const BurnReading& reading, std::vector<TierValue>& out) {
  out.resize(slo.tiers().size());
  const SloAlerting& alerts = slo.definition().alerts;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const BurnTier& tier = slo.tiers()[i];
    const WindowValue& longer = window_value(slo, reading, tier.long_window);
    const WindowValue& shorter = window_value(slo, reading, tier.short_window);
    TierValue& value = out[i];
    value.threshold = tier.factor * slo.budget();
    value.long_ratio = longer.ratio;
    value.short_ratio = shorter.ratio;
    if (longer.coverage < kCovered && !alerts.fires_uncovered) {
      value.status = TierStatus::kUnknown;
    } else if (std::isnan(shorter.ratio) || std::isnan(longer.ratio)) {
      value.status = TierStatus::kNoEvents;
    } else if (!fires_at(tier.comparison, longer.ratio, value.threshold) ||
               !fires_at(tier.comparison, shorter.ratio, value.threshold)) {
      value.status = TierStatus::kClear;
    } else {
      const BurnGuards& guards =
          (tier.severity == Severity::kPage ? alerts.page : alerts.ticket).guards;
      const bool is_enough =
          passes_guards(slo, tier, guards, reading, longer, shorter, value.threshold);
      value.status = is_enough ? TierStatus::kBurning : TierStatus::kHeldBack;
    }
  }
}

Verdict BurnAlarm::judge(const Slo& slo, std::size_t s, const BurnReading& reading,
                         std::span<const TierValue> tiers) const {
  const AlertUnit& unit = slo.alert_units()[s];
  Verdict out{.tier = fired_tier_[s]};
  bool is_silent = false;
  for (std::size_t i = unit.begin; i < unit.end; ++i) {
    const BurnTier& tier = slo.tiers()[i];
    if (tiers[i].status == TierStatus::kNoEvents) is_silent = true;
    const std::optional<Timestamp>& since = burning_since_[i];
    if (!out.is_active && since && reading.t - *since >= tier.hold) {
      out.is_active = true;
      out.tier = i;
    }
  }
  if (out.is_active || !active_[s] || !is_silent) return out;
  // It fired, and now there is nothing that could tell whether it is over.
  const Timestamp silent_since = reading.last_event.value_or(reading.t);
  out.is_held = reading.t - silent_since < hold_of(slo, slo.tiers()[out.tier]);
  out.is_active = out.is_held;
  out.lost_its_data = !out.is_held;
  return out;
}

Verdicts BurnAlarm::step(const Slo& slo, const BurnReading& reading,
                         std::span<const TierValue> tiers) {
  burning_since_.resize(tiers.size());
  for (std::size_t i = 0; i < tiers.size(); ++i) {
    if (tiers[i].status != TierStatus::kBurning) {
      burning_since_[i].reset();
    } else if (!burning_since_[i]) {
      burning_since_[i] = reading.t;
    }
  }
  Verdicts out;
  bool is_any_active = false;
  std::array<bool, 2> is_judged{};
  for (std::size_t i = 0; i < slo.alert_units().size(); ++i) {
    const AlertUnit& unit = slo.alert_units()[i];
    if (fired_tier_[i] < unit.begin || fired_tier_[i] >= unit.end) fired_tier_[i] = unit.begin;
    const Verdict verdict = judge(slo, i, reading, tiers);
    out.by_unit[i] = verdict;
    active_[i] = verdict.is_active;
    fired_tier_[i] = verdict.tier;
    is_any_active = is_any_active || active_[i];
    const auto s = static_cast<std::size_t>(unit.severity);
    if (!is_judged[s] || (verdict.is_active && !out.by_severity[s].is_active)) {
      out.by_severity[s] = verdict;
    }
    is_judged[s] = true;
  }
  const bool has_stopped =
      !reading.last_sample || reading.t - *reading.last_sample > kSamplesStopped;
  const std::optional<Timestamp> silent_since =
      reading.last_sample ? reading.last_sample : reading.watched_since;
  if (silent_since && slo.definition().alerts.alerts_on_no_data) {
    out.no_data = reading.t - *silent_since > no_data_wait_of(slo);
  }
  const bool is_unknown =
      !tiers.empty() && std::all_of(tiers.begin(), tiers.end(), [](const TierValue& tier) {
        return tier.status == TierStatus::kUnknown;
      });
  const bool has_traffic = !reading.windows.empty() && !std::isnan(reading.windows.front().ratio);
  if (has_stopped) {
    out.state = SloState::kNoData;
  } else if (is_any_active) {
    out.state = SloState::kBurning;
  } else if (!has_traffic) {
    out.state = SloState::kNoTraffic;
  } else {
    out.state = is_unknown ? SloState::kUnknown : SloState::kOk;
  }
  return out;
}

std::string cause_text(const Slo& slo, const AlertUnit& unit, const BurnReading& reading,
                       std::span<const TierValue> tiers, const Verdict& verdict) {
  const std::string name(severity_name(unit.severity));
  if (unit.begin == unit.end || tiers.empty() || verdict.tier >= tiers.size())
    return name + ": no tier is configured";
  if (!reading.last_sample && !verdict.is_active && !verdict.lost_its_data) {
    return fmt::format("no {}: there is no data: {} has no sample in the last {}", name,
                       slo.measured_text(), period_text(slo.definition().period));
  }
  // What does not fire is told by the tier that is nearest to it.
  std::size_t shown = verdict.tier;
  if (!verdict.is_active) {
    double nearest = -1;
    for (std::size_t i = unit.begin; i < unit.end; ++i) {
      const double part = tiers[i].long_ratio / tiers[i].threshold;
      if (part > nearest) {
        nearest = part;
        shown = i;
      }
    }
  }
  const BurnTier& tier = slo.tiers()[shown];
  const TierValue& value = tiers[shown];
  const std::string longer = format_duration(tier.long_window);
  const std::string shorter = format_duration(tier.short_window);
  const std::string limit = fmt::format("{} ({} times the budget of {})", percent(value.threshold),
                                        short_number(tier.factor), percent(slo.budget()));
  const std::string found =
      fmt::format("errors are {} over {} and {} over {}", percent(value.long_ratio), longer,
                  percent(value.short_ratio), shorter);
  if (verdict.is_held) {
    return fmt::format(
        "{}: it fired and then events stopped {} ago; it is held until it is known "
        "to be over",
        name, format_duration(reading.t - reading.last_event.value_or(reading.t)));
  }
  if (verdict.is_active) return fmt::format("{}: {}, both above {}", name, found, limit);
  if (verdict.lost_its_data) {
    return fmt::format("{}: over because data stopped, not because errors did", name);
  }
  switch (value.status) {
    case TierStatus::kUnknown:
      return fmt::format("no {}: only {:.0f} % of {} is covered by data", name,
                         100 * window_value(slo, reading, tier.long_window).coverage, longer);
    case TierStatus::kNoEvents:
      return fmt::format("no {}: there are no events over {}", name, shorter);
    case TierStatus::kHeldBack:
      return fmt::format(
          "no {}: {}, both above {}, but too few events: {} bad of {} over {}", name, found, limit,
          short_number(window_value(slo, reading, tier.long_window).events.bad),
          short_number(window_value(slo, reading, tier.long_window).events.total), longer);
    case TierStatus::kBurning:
      return fmt::format("no {} yet: {}, both above {}, not yet for {}", name, found, limit,
                         format_duration(tier.hold));
    case TierStatus::kClear: {
      const bool is_long = value.long_ratio > value.threshold;
      const bool is_short = value.short_ratio > value.threshold;
      const std::string which = is_long    ? fmt::format("over {} that is not above", shorter)
                                : is_short ? fmt::format("over {} that is not above", longer)
                                           : "neither is above";
      return fmt::format("no {}: {}; {} {}", name, found, which, limit);
    }
  }
  return name;
}

double budget_remaining(const Slo& slo, const WindowValue& period) {
  if (std::isnan(period.ratio)) return 1;
  if (slo.budget() <= 0) return period.ratio > 0 ? -std::numeric_limits<double>::infinity() : 1;
  return 1 - period.ratio / slo.budget();
}

}  // namespace tarsier::alerting
