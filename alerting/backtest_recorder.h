#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alerting/backtest.h"
#include "alerting/slo_alerts.h"

namespace tarsier::alerting {

// What the replays of a backtest share.

/// The alerts of one group, each with its begin and end. Borrows the objective.
class BacktestRecorder final {
 public:
  BacktestRecorder(const Slo& slo, tsdb::Labels group)
      : slo_(slo), texts_(slo), group_(std::move(group)) {}

  void note(const BurnReading& reading, std::span<const TierValue> tiers, const Verdicts& verdicts);
  /// Whether an alert begins with these.
  bool begins(const Verdicts& verdicts) const;
  std::vector<BacktestAlert> take() { return std::move(alerts_); }

 private:
  const Slo& slo_;
  const SloAlertTexts texts_;
  const tsdb::Labels group_;
  std::vector<BacktestAlert> alerts_;
  std::array<std::optional<std::size_t>, kAlertUnitsMax> open_;
  std::optional<std::size_t> open_no_data_;
};

void sort_by_time(std::vector<BacktestAlert>& alerts);
/// Adds a moment to the trace, if that is of this group.
void note_moment(BacktestTrace* trace, const Slo& slo, const tsdb::Labels& group,
                 const BurnReading& reading, const std::vector<TierValue>& tiers,
                 const Verdicts& verdicts, bool is_last);
/// An objective that only queries can compute, from `out.start` to `out.end`.
Status replay_ratios(tsdb::Queryable& storage, const query::Engine& engine, const Slo& slo,
                     StepClock clock, const CancelToken* cancel, BacktestTrace* trace,
                     BacktestResult& out);

}  // namespace tarsier::alerting
