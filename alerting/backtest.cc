#include "alerting/backtest.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "alerting/alert_table.h"
#include "alerting/rule_evaluation.h"
#include "alerting/slo_alerts.h"
#include "alerting/slo_counter.h"
#include "alerting/slo_ratios.h"
#include "base/duration.h"

namespace tarsier::alerting {
namespace {

/// Times of a query's points at once: engines hold all of them.
constexpr std::int64_t kPointsMax = 10'000;

std::string tier_name(const BurnTier& tier) {
  return fmt::format("{}/{}", format_duration(tier.long_window),
                     format_duration(tier.short_window));
}

/// Keeps the alerts of one group apart by severity, with their begins and ends.
class Recorder final {
 public:
  Recorder(const Slo& slo, tsdb::Labels group) : slo_(slo), texts_(slo), group_(std::move(group)) {}

  void note(const BurnReading& reading, std::span<const TierValue> tiers,
            const Verdicts& verdicts) {
    const bool is_paged = verdicts.of(Severity::kPage).is_active;
    for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
      const Verdict& verdict = verdicts.of(severity);
      std::optional<std::size_t>& open = open_[static_cast<std::size_t>(severity)];
      if (verdict.is_active && !open) {
        open = alerts_.size();
        alerts_.push_back({.severity = std::string(severity_name(severity)),
                           .labels = texts_.labels(slo_, severity, group_),
                           .fired_at = reading.t,
                           .ended_at = std::nullopt,
                           .tier = tier_name(slo_.tiers()[verdict.tier]),
                           .cause = cause_text(slo_, severity, reading, tiers, verdict),
                           .budget_consumed = 1 - budget_remaining(slo_, reading.period),
                           .is_inhibited = severity == Severity::kTicket && is_paged});
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

  std::vector<BacktestAlert> take() { return std::move(alerts_); }

 private:
  const Slo& slo_;
  const SloAlertTexts texts_;
  const tsdb::Labels group_;
  std::vector<BacktestAlert> alerts_;
  std::array<std::optional<std::size_t>, 2> open_;
  std::optional<std::size_t> open_no_data_;
};

void sort_by_time(std::vector<BacktestAlert>& alerts) {
  std::stable_sort(alerts.begin(), alerts.end(),
                   [](const auto& a, const auto& b) { return a.fired_at < b.fired_at; });
}

void note(BacktestTrace* trace, const Slo& slo, const tsdb::Labels& group,
          const BurnReading& reading, const std::vector<TierValue>& tiers, const Verdicts& verdicts,
          bool is_last) {
  if (trace == nullptr || trace->group != group) return;
  if (trace->moments.size() >= BacktestTrace::kMomentsMax) {
    if (!is_last) return;
    trace->moments.pop_back();
  }
  const Verdict& verdict = verdicts.of(trace->severity);
  trace->moments.push_back(
      {.at = reading.t, .tiers = tiers, .is_active = verdict.is_active, .cause = ""});
  if (is_last) {
    trace->moments.back().cause = cause_text(slo, trace->severity, reading, tiers, verdict);
  }
}

/// An objective that only queries can compute: each window as one range query after the other.
class RatioReplay final {
 public:
  RatioReplay(tsdb::Queryable& storage, const query::Engine& engine, const Slo& slo,
              StepClock clock, const CancelToken* cancel, BacktestTrace* trace)
      : storage_(storage),
        engine_(engine),
        slo_(slo),
        clock_(clock),
        cancel_(cancel),
        trace_(trace) {}

  Status run(Timestamp start, Timestamp end, BacktestResult& out) {
    const Duration span = Duration{clock_.length.ms * kPointsMax};
    for (Timestamp at = start; at <= end; at = at + span) {
      TRY(run_part(at, std::min(end, at + span - clock_.length)));
    }
    for (auto& [labels, group] : groups_) {
      std::vector<BacktestAlert> alerts = group.recorder->take();
      std::move(alerts.begin(), alerts.end(), std::back_inserter(out.alerts));
      out.budgets.push_back({.group = labels,
                             .period = group.reading.period.events,
                             .consumed = 1 - budget_remaining(slo_, group.reading.period),
                             .coverage = group.reading.period.coverage});
    }
    return {};
  }

 private:
  struct Group {
    BurnReading reading;
    BurnAlarm alarm;
    std::vector<TierValue> tiers;
    std::unique_ptr<Recorder> recorder;
  };
  using Column = std::vector<double>;

  Status run_part(Timestamp start, Timestamp end) {
    const std::size_t count = slo_.windows().size();
    const auto steps = static_cast<std::size_t>((end - start).ms / clock_.length.ms + 1);
    std::map<tsdb::Labels, std::vector<Column>> columns;
    for (std::size_t i = 0; i <= count; ++i) {
      const Duration window =
          i == count ? nominal_period(slo_.definition().period) : slo_.windows()[i];
      const query::PreparedQuery prepared = TRY(engine_.prepare(
          {.text = slo_.ratio_query(window), .start = start, .end = end, .step = clock_.length}));
      const query::QueryResult answer = TRY(engine_.run(storage_, prepared, cancel_));
      for (const query::MatrixSeries& series : answer.matrix) {
        const tsdb::Labels group = slo_.group_by().empty() ? series.labels.drop_metric_name()
                                                           : series.labels.keep(slo_.group_by());
        std::vector<Column>& all = columns[group];
        all.resize(count + 1, Column(steps, std::nan("")));
        for (std::size_t n = 0; n < series.points.size(); ++n) {
          const std::int64_t offset = series.points.times_ms[n] - start.ms;
          all[i][static_cast<std::size_t>(offset / clock_.length.ms)] = series.points.values[n];
        }
      }
    }
    for (auto& [labels, all] : columns) {
      Group& group = groups_[labels];
      if (!group.recorder) group.recorder = std::make_unique<Recorder>(slo_, labels);
      BurnReading& reading = group.reading;
      reading.windows.resize(count);
      reading.has_counts = false;
      for (std::size_t n = 0; n < steps; ++n) {
        reading.t = start + Duration{static_cast<std::int64_t>(n) * clock_.length.ms};
        for (std::size_t i = 0; i <= count; ++i) {
          WindowValue& value = i == count ? reading.period : reading.windows[i];
          value.ratio = all[i][n];
          value.coverage = 1;
        }
        if (!std::isnan(reading.windows.front().ratio)) {
          reading.last_sample = reading.last_event = reading.t;
        }
        judge_tiers(slo_, reading, group.tiers);
        const Verdicts verdicts = group.alarm.step(slo_, reading, group.tiers);
        group.recorder->note(reading, group.tiers, verdicts);
        note(trace_, slo_, labels, reading, group.tiers, verdicts, n + 1 == steps);
      }
    }
    return {};
  }

  tsdb::Queryable& storage_;
  const query::Engine& engine_;
  const Slo& slo_;
  const StepClock clock_;
  const CancelToken* const cancel_;
  BacktestTrace* const trace_;
  std::map<tsdb::Labels, Group> groups_;
};

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
  Recorder recorder(slo, group);
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
    note(trace, slo, group, reading, tiers, verdicts, step == last_step);
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
    RatioReplay replay(storage, engine, slo, clock, cancel, trace);
    TRY(replay.run(clock.end_of(start_step), clock.end_of(last_step), out));
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
  sort_by_time(out.alerts);
  return out;
}

Result<BacktestResult> backtest_rule(tsdb::Queryable& storage, const query::Engine& engine,
                                     const Rule& rule, Duration interval, Timestamp start,
                                     Timestamp end, const CancelToken* cancel) {
  BacktestResult out{.start = start, .end = end};
  if (!rule.is_alerting()) return invalid("only alerting rules have alerts");
  AlertTable table;
  std::map<tsdb::Labels, std::size_t> open;
  const Duration span{interval.ms * kPointsMax};
  for (Timestamp part = start; part <= end; part = part + span) {
    const Timestamp part_end = std::min(end, part + span - interval);
    const query::PreparedQuery prepared = TRY(
        engine.prepare({.text = rule.query(), .start = part, .end = part_end, .step = interval}));
    const query::QueryResult answer = TRY(engine.run(storage, prepared, cancel));
    std::vector<std::size_t> next(answer.matrix.size());
    for (Timestamp t = part; t <= part_end; t = t + interval) {
      ++out.steps;
      query::QueryResult moment{.type = query::ResultType::kVector, .time = t};
      for (std::size_t i = 0; i < answer.matrix.size(); ++i) {
        const query::MatrixSeries& series = answer.matrix[i];
        if (next[i] >= series.points.size() || series.points.times_ms[next[i]] != t.ms) continue;
        moment.vector.push_back(
            {.labels = series.labels, .value = series.points.values[next[i]++]});
      }
      TemplateCounts counts;
      std::vector<ActiveAlert> active =
          TRY(active_alerts(rule, moment, {.now = t, .query = {}}, counts));
      AlertChanges changes = table.advance(
          std::move(active), t,
          {.hold = rule.definition().hold, .keep_firing_for = rule.definition().keep_firing_for},
          0);
      TRY(Status(changes.status));
      for (const AlertRecord& record : changes.written) {
        if (record.state == AlertState::kFiring && !open.contains(record.labels)) {
          open[record.labels] = out.alerts.size();
          out.alerts.push_back(
              {.severity = std::string(record.labels.get("severity")),
               .labels = record.labels,
               .fired_at = t,
               .ended_at = std::nullopt,
               .tier = "",
               .cause = fmt::format("the value was {} when it fired", record.value)});
        } else if (record.state == AlertState::kInactive && open.contains(record.labels)) {
          BacktestAlert& alert = out.alerts[open[record.labels]];
          alert.ended_at = t;
          alert.reason = record.resolve_reason;
          open.erase(record.labels);
        }
      }
    }
  }
  sort_by_time(out.alerts);
  return out;
}

}  // namespace tarsier::alerting
