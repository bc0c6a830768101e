// What an alerting rule would have done.

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "alerting/alert_table.h"
#include "alerting/backtest.h"
#include "alerting/backtest_recorder.h"
#include "alerting/rule_evaluation.h"

namespace tarsier::alerting {
namespace {

/// Times of a query's points at once: engines hold all of them.
constexpr std::int64_t kPointsMax = 10'000;

}  // namespace

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
