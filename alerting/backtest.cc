#include "alerting/backtest.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "alerting/backtest_recorder.h"
#include "alerting/slo_alerts.h"
#include "alerting/slo_counter.h"

namespace tarsier::alerting {
namespace {

/// Nothing it measures has samples: live, that is told after a while.
void note_absence(const Slo& slo, StepClock clock, BacktestResult& out) {
  out.warnings.push_back(fmt::format("{} has no sample in this time", slo.measured_text()));
  if (!slo.definition().alerts.alerts_on_no_data) return;
  const Timestamp begin = clock.end_of(clock.step_of(out.start));
  const Timestamp fired = clock.end_of(clock.step_of(begin + no_data_wait_of(slo)) + 1);
  if (fired > out.end) return;
  out.alerts.push_back({.severity = "no_data",
                        .labels = SloAlertTexts(slo).no_data_labels(slo, {}),
                        .fired_at = fired,
                        .ended_at = std::nullopt,
                        .tier = "",
                        .cause = "there were no samples"});
}

}  // namespace

std::vector<TierForecast> forecast_tiers(const Slo& slo) {
  std::vector<TierForecast> out;
  const double period = static_cast<double>(nominal_period(slo.definition().period).ms);
  for (const BurnTier& tier : slo.tiers()) {
    TierForecast one{
        .tier = tier,
        .threshold = tier.factor * slo.budget(),
        .is_reachable = is_reachable(tier, slo.budget()),
        .budget_share = tier.factor * static_cast<double>(tier.long_window.ms) / period};
    for (const double ratio : {1.0, 0.5, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001}) {
      one.cases.push_back({.error_ratio = ratio,
                           .detection = detection_time(tier, slo.budget(), ratio),
                           .reset = reset_time(tier, slo.budget(), ratio)});
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<BacktestAlert> replay_counts(const Slo& slo, StepClock clock, const tsdb::Labels& group,
                                         const std::vector<EventCounts>& events,
                                         std::int64_t first_step, std::int64_t start_step,
                                         std::int64_t measured_from,
                                         const std::vector<Timestamp>& sample_times,
                                         BacktestBudget& budget, BacktestTrace* trace) {
  std::vector<EventCounts> cumulative(events.size() + 1);
  for (std::size_t i = 0; i < events.size(); ++i) {
    cumulative[i + 1] = cumulative[i];
    cumulative[i + 1] += events[i];
  }
  const auto at = [&](std::size_t, std::int64_t step) -> std::optional<EventCounts> {
    const std::int64_t i = std::clamp<std::int64_t>(step - first_step + 1, 0,
                                                    static_cast<std::int64_t>(events.size()));
    return cumulative[static_cast<std::size_t>(i)];
  };
  BacktestRecorder recorder(slo, group);
  BurnReading reading;
  BurnAlarm alarm;
  std::vector<TierValue> tiers;
  const std::int64_t last_step = first_step + static_cast<std::int64_t>(events.size()) - 1;
  auto next_sample = sample_times.begin();
  for (std::int64_t step = first_step; step <= last_step; ++step) {
    const Timestamp t = clock.end_of(step);
    while (next_sample != sample_times.end() && *next_sample <= t)
      reading.last_sample = *next_sample++;
    if (events[static_cast<std::size_t>(step - first_step)].total > 0) {
      reading.last_event = reading.last_sample.value_or(t);
    }
    // Until its first sample a group is not known to anybody.
    if (step < start_step || step < measured_from) continue;
    read_windows(slo, clock, step, measured_from, at, reading);
    judge_tiers(slo, reading, tiers);
    const Verdicts verdicts = alarm.step(slo, reading, tiers);
    recorder.note(reading, tiers, verdicts);
    note_moment(trace, slo, group, reading, tiers, verdicts, step == last_step);
  }
  budget = {.group = group,
            .period = reading.period.events,
            .consumed = 1 - budget_remaining(slo, reading.period),
            .coverage = reading.period.coverage};
  return recorder.take();
}

Result<BacktestResult> backtest_slo(tsdb::Queryable& storage, const query::Engine& engine,
                                    const Slo& slo, StepClock clock, Timestamp start, Timestamp end,
                                    const CancelToken* cancel, BacktestTrace* trace) {
  BacktestResult out{.start = start, .end = end, .warnings = slo.warnings()};
  if (end < start) return invalid("the end of a backtest is before its start");
  const std::int64_t start_step = clock.step_of(start);
  const std::int64_t last_step = clock.ended_by(end);
  out.steps = static_cast<std::uint64_t>(std::max<std::int64_t>(last_step - start_step + 1, 0));
  if (slo.counting() == SloCounting::kPromql) {
    TRY(replay_ratios(storage, engine, slo, clock, cancel, trace, out));
    if (out.budgets.empty()) note_absence(slo, clock, out);
    sort_by_time(out.alerts);
    return out;
  }
  const std::int64_t first_step =
      std::max<std::int64_t>(start_step - clock.steps_in(slo.period_at_most()) + 1, 1);
  const std::unique_ptr<tsdb::Querier> querier =
      TRY(storage.querier(scan_range(clock, first_step, last_step)));
  const EventScan scan =
      TRY(scan_events(*querier, slo, clock, first_step, last_step, cancel, SampleTimes::kYes));
  out.samples_read = scan.samples_read;
  for (const auto& [labels, group] : scan.groups) {
    if (!group.first_sample) continue;
    const std::int64_t measured = std::max(clock.step_of(*group.first_sample), first_step);
    BacktestBudget budget;
    std::vector<BacktestAlert> alerts =
        replay_counts(slo, clock, labels, group.events, first_step, start_step, measured,
                      group.sample_times, budget, trace);
    std::move(alerts.begin(), alerts.end(), std::back_inserter(out.alerts));
    if (budget.coverage < 0.98) {
      out.warnings.push_back(fmt::format(
          "{}the period is covered by data to {:.1f} % only: windows before that are unknown",
          labels.empty() ? "" : labels.to_string() + ": ", 100 * budget.coverage));
    }
    out.budgets.push_back(std::move(budget));
  }
  if (out.budgets.empty()) note_absence(slo, clock, out);
  sort_by_time(out.alerts);
  return out;
}

}  // namespace tarsier::alerting
