#include "alerting/backtest_recorder.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/duration.h"

namespace tarsier::alerting {
namespace {

std::string tier_name(const BurnTier& tier) {
  return fmt::format("{}/{}", format_duration(tier.long_window),
                     format_duration(tier.short_window));
}

}  // namespace

bool BacktestRecorder::begins(const Verdicts& verdicts) const {
  for (std::size_t i = 0; i < slo_.alert_units().size(); ++i) {
    if (verdicts.by_unit[i].is_active && !open_[i]) return true;
  }
  return verdicts.no_data && !open_no_data_;
}

void BacktestRecorder::note(const BurnReading& reading, std::span<const TierValue> tiers,
                            const Verdicts& verdicts) {
  const bool is_paged = verdicts.of(Severity::kPage).is_active;
  for (std::size_t i = 0; i < slo_.alert_units().size(); ++i) {
    const AlertUnit& unit = slo_.alert_units()[i];
    const Verdict& verdict = verdicts.by_unit[i];
    std::optional<std::size_t>& open = open_[i];
    if (verdict.is_active && !open) {
      open = alerts_.size();
      alerts_.push_back({.severity = std::string(severity_name(unit.severity)),
                         .labels = texts_.labels(slo_, unit, group_),
                         .fired_at = reading.t,
                         .ended_at = std::nullopt,
                         .tier = tier_name(slo_.tiers()[verdict.tier]),
                         .cause = cause_text(slo_, unit, reading, tiers, verdict),
                         .budget_consumed = 1 - budget_remaining(slo_, reading.period),
                         .is_inhibited = unit.severity == Severity::kTicket && is_paged});
    } else if (!verdict.is_active && open) {
      alerts_[*open].ended_at = reading.t;
      alerts_[*open].reason =
          verdict.lost_its_data ? ResolveReason::kDataStopped : ResolveReason::kConditionOver;
      open.reset();
    }
  }
  if (verdicts.no_data && !open_no_data_) {
    open_no_data_ = alerts_.size();
    alerts_.push_back({.severity = "no_data",
                       .labels = texts_.no_data_labels(slo_, group_),
                       .fired_at = reading.t,
                       .ended_at = std::nullopt,
                       .tier = "",
                       .cause = "samples stopped",
                       .budget_consumed = 1 - budget_remaining(slo_, reading.period)});
  } else if (!verdicts.no_data && open_no_data_) {
    alerts_[*open_no_data_].ended_at = reading.t;
    alerts_[*open_no_data_].reason = ResolveReason::kConditionOver;
    open_no_data_.reset();
  }
}

void sort_by_time(std::vector<BacktestAlert>& alerts) {
  std::stable_sort(alerts.begin(), alerts.end(),
                   [](const auto& a, const auto& b) { return a.fired_at < b.fired_at; });
}

void note_moment(BacktestTrace* trace, const Slo& slo, const tsdb::Labels& group,
                 const BurnReading& reading, const std::vector<TierValue>& tiers,
                 const Verdicts& verdicts, bool is_last) {
  if (trace == nullptr || trace->group != group || trace->unit >= slo.alert_units().size()) return;
  if (trace->moments.size() >= BacktestTrace::kMomentsMax) {
    if (!is_last) return;
    trace->moments.pop_back();
  }
  const Verdict& verdict = verdicts.by_unit[trace->unit];
  trace->moments.push_back(
      {.at = reading.t, .tiers = tiers, .is_active = verdict.is_active, .cause = ""});
  if (is_last) {
    trace->moments.back().cause =
        cause_text(slo, slo.alert_units().at(trace->unit), reading, tiers, verdict);
  }
}

}  // namespace tarsier::alerting
