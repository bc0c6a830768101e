// The backtest of an objective that only queries can compute: each window as one range query after
// the other, then the same judgement as live.

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "alerting/backtest_recorder.h"
#include "alerting/slo_ratios.h"

namespace tarsier::alerting {
namespace {

/// Times of a query's points at once: engines hold all of them.
constexpr std::int64_t kPointsMax = 10'000;

/// One window over the steps of a part. NaN where the query gives nothing.
struct Column {
  explicit Column(std::size_t steps)
      : ratio(steps, std::nan("")), bad(steps, 0), total(steps, 0), is_there(steps, false) {}
  std::vector<double> ratio;
  std::vector<double> bad;
  std::vector<double> total;
  std::vector<bool> is_there;  ///< Also where it is 0 / 0.
};
using Columns = std::map<tsdb::Labels, std::vector<Column>>;

class RatioReplay final {
 public:
  RatioReplay(tsdb::Queryable& storage, const query::Engine& engine, const Slo& slo,
              StepClock clock, const CancelToken* cancel, BacktestTrace* trace)
      : storage_(storage),
        engine_(engine),
        slo_(slo),
        clock_(clock),
        cancel_(cancel),
        trace_(trace) {
    const SloAlerting& alerts = slo.definition().alerts;
    const bool has_guards =
        alerts.page.guards != BurnGuards() || alerts.ticket.guards != BurnGuards();
    // Only guards ask for counts, and they cost two more queries.
    has_counts_ = has_guards && !slo.total_query(minutes(5)).empty();
  }

  Status run(Timestamp start, Timestamp end, BacktestResult& out) {
    first_sample_ = TRY(first_sample_of(
        storage_, slo_, {.min = start - slo_.period_at_most(), .max = end}, cancel_));
    const Duration span = Duration{clock_.length.ms * kPointsMax};
    for (Timestamp at = start; at <= end; at = at + span) {
      TRY(run_part(at, std::min(end, at + span - clock_.length), end));
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
    std::unique_ptr<BacktestRecorder> recorder;
  };

  Duration window(std::size_t i) const {
    return i == slo_.windows().size() ? nominal_period(slo_.definition().period)
                                      : slo_.windows()[i];
  }

  template <typename Put>
  Status ask(const std::string& text, Timestamp start, Timestamp end, Columns& columns,
             std::size_t i, Put&& put) {
    const auto steps = static_cast<std::size_t>((end - start).ms / clock_.length.ms + 1);
    const query::PreparedQuery prepared =
        TRY(engine_.prepare({.text = text, .start = start, .end = end, .step = clock_.length}));
    const query::QueryResult answer = TRY(engine_.run(storage_, prepared, cancel_));
    for (const query::MatrixSeries& series : answer.matrix) {
      const tsdb::Labels group = slo_.group_by().empty() ? series.labels.drop_metric_name()
                                                         : series.labels.keep(slo_.group_by());
      std::vector<Column>& all = columns[group];
      all.resize(slo_.windows().size() + 1, Column(steps));
      for (std::size_t n = 0; n < series.points.size(); ++n) {
        const std::int64_t offset = series.points.times_ms[n] - start.ms;
        put(all[i], static_cast<std::size_t>(offset / clock_.length.ms), series.points.values[n]);
      }
    }
    return {};
  }

  Status run_part(Timestamp start, Timestamp end, Timestamp last) {
    const auto steps = static_cast<std::size_t>((end - start).ms / clock_.length.ms + 1);
    Columns columns;
    for (const auto& [labels, group] : groups_) columns[labels];  // It may have ended before.
    for (std::size_t i = 0; i <= slo_.windows().size(); ++i) {
      TRY(ask(slo_.ratio_query(window(i)), start, end, columns, i,
              [](Column& column, std::size_t n, double value) {
                column.ratio[n] = value;
                column.is_there[n] = true;
              }));
      if (!has_counts_) continue;
      TRY(ask(slo_.bad_query(window(i)), start, end, columns, i,
              [](Column& column, std::size_t n, double value) { column.bad[n] = value; }));
      TRY(ask(slo_.total_query(window(i)), start, end, columns, i,
              [](Column& column, std::size_t n, double value) { column.total[n] = value; }));
    }
    for (auto& [labels, all] : columns) {
      all.resize(slo_.windows().size() + 1, Column(steps));
      Group& group = groups_[labels];
      if (!group.recorder) group.recorder = std::make_unique<BacktestRecorder>(slo_, labels);
      for (std::size_t n = 0; n < steps; ++n) {
        const Timestamp t = start + Duration{static_cast<std::int64_t>(n) * clock_.length.ms};
        if (!read(group.reading, all, n, t)) continue;
        judge_tiers(slo_, group.reading, group.tiers);
        const Verdicts verdicts = group.alarm.step(slo_, group.reading, group.tiers);
        group.recorder->note(group.reading, group.tiers, verdicts);
        note_moment(trace_, slo_, labels, group.reading, group.tiers, verdicts, t == last);
      }
    }
    return {};
  }

  /// False: nobody knows the group yet.
  bool read(BurnReading& reading, const std::vector<Column>& all, std::size_t n,
            Timestamp t) const {
    const std::size_t count = slo_.windows().size();
    reading.t = t;
    reading.has_counts = has_counts_;
    reading.windows.resize(count);
    for (std::size_t i = 0; i <= count; ++i) {
      WindowValue& value = i == count ? reading.period : reading.windows[i];
      value.ratio = all[i].ratio[n];
      value.events = {.bad = all[i].bad[n], .total = all[i].total[n]};
      const double covered = first_sample_ ? static_cast<double>((t - *first_sample_).ms) : 0;
      value.coverage = std::clamp(covered / static_cast<double>(window(i).ms), 0.0, 1.0);
    }
    if (all.front().is_there[n]) reading.last_sample = t;
    if (!std::isnan(reading.windows.front().ratio)) reading.last_event = t;
    return reading.last_sample.has_value();
  }

  tsdb::Queryable& storage_;
  const query::Engine& engine_;
  const Slo& slo_;
  const StepClock clock_;
  const CancelToken* const cancel_;
  BacktestTrace* const trace_;
  bool has_counts_ = false;
  std::optional<Timestamp> first_sample_;
  std::map<tsdb::Labels, Group> groups_;
};

}  // namespace

Status replay_ratios(tsdb::Queryable& storage, const query::Engine& engine, const Slo& slo,
                     StepClock clock, const CancelToken* cancel, BacktestTrace* trace,
                     BacktestResult& out) {
  return RatioReplay(storage, engine, slo, clock, cancel, trace)
      .run(clock.end_of(clock.step_of(out.start)), clock.end_of(clock.ended_by(out.end)), out);
}

}  // namespace tarsier::alerting
