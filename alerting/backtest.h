#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alerting/alert.h"
#include "alerting/burn_rate.h"
#include "alerting/event_scan.h"
#include "alerting/rule.h"
#include "alerting/slo.h"
#include "base/cancel.h"
#include "base/result.h"
#include "base/time.h"
#include "query/engine.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

// What an objective or an alerting rule would have done over stored history.

/// An alert that would have fired.
struct BacktestAlert {
  std::string severity;  ///< "page", "ticket", "no_data"; of a rule empty.
  tsdb::Labels labels;
  Timestamp fired_at;
  std::optional<Timestamp> ended_at;  ///< Nothing: it fires at the end.
  ResolveReason reason = ResolveReason::kNone;
  std::string tier;            ///< `1h/5m`
  std::string cause;           ///< When it fired.
  double budget_consumed = 0;  ///< Of the period's budget, when it fired.
  bool is_inhibited = false;   ///< A ticket that fired while its page did: nobody is told.
  bool operator==(const BacktestAlert&) const = default;
};

/// One group's budget at the end.
struct BacktestBudget {
  tsdb::Labels group;
  EventCounts period;
  double consumed = 0;  ///< Of the budget; above 1: overspent.
  double coverage = 0;
};

/// What a tier does, computed beforehand.
struct TierForecast {
  BurnTier tier;
  double threshold = 0;  ///< Of the share of errors.
  bool is_reachable = true;
  double budget_share = 0;  ///< Spent at most when it fires.
  struct Case {
    double error_ratio = 0;
    std::optional<Duration> detection;
    std::optional<Duration> reset;
  };
  std::vector<Case> cases;  ///< From a full outage down.
};
std::vector<TierForecast> forecast_tiers(const Slo& slo);

struct BacktestResult {
  Timestamp start;
  Timestamp end;
  std::vector<BacktestAlert> alerts;  ///< By time.
  std::vector<BacktestBudget> budgets;
  std::vector<std::string> warnings;
  std::uint64_t samples_read = 0;
  std::uint64_t steps = 0;
};

/// What a backtest notes of one group's alert on its way.
struct BacktestTrace {
  tsdb::Labels group;
  std::size_t unit = 0;  ///< Of Slo::alert_units().
  struct Moment {
    Timestamp at;
    std::vector<TierValue> tiers;  ///< As Slo::tiers().
    bool is_active = false;
    std::string cause;  ///< Of the last moment only.
  };
  std::vector<Moment> moments;  ///< At most `kMomentsMax`, the last one always.
  static constexpr std::size_t kMomentsMax = 2'000;
};

/// Evaluates the objective at the end of every step from `start` to `end`, both included, on what
/// is stored, as if it had been configured all the time. The alerts are those of a live evaluation
/// of the same samples. Events before `start` count in windows that reach back.
Result<BacktestResult> backtest_slo(tsdb::Queryable& storage, const query::Engine& engine,
                                    const Slo& slo, StepClock clock, Timestamp start, Timestamp end,
                                    const CancelToken* cancel, BacktestTrace* trace = nullptr);
/// The same on counts that are there already, one group. `first_step` is that of `events`; steps
/// are judged from `start_step` on.
std::vector<BacktestAlert> replay_counts(const Slo& slo, StepClock clock, const tsdb::Labels& group,
                                         const std::vector<EventCounts>& events,
                                         std::int64_t first_step, std::int64_t start_step,
                                         std::int64_t measured_from,
                                         const std::vector<Timestamp>& sample_times,
                                         BacktestBudget& budget, BacktestTrace* trace = nullptr);
/// An alerting rule at every `interval`.
Result<BacktestResult> backtest_rule(tsdb::Queryable& storage, const query::Engine& engine,
                                     const Rule& rule, Duration interval, Timestamp start,
                                     Timestamp end, const CancelToken* cancel);

}  // namespace tarsier::alerting
