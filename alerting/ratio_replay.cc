// The backtest of an objective that PromQL computes: each window as one range query after the
// other, at the moments at which a live evaluation asks for it, then the same judgement as live.

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
    is_held_ = program_of(slo) == nullptr;
    is_calendar_ = slo.definition().period.is_calendar();
    weighs_traffic_ = alerts.page.guards.weighs_traffic || alerts.ticket.guards.weighs_traffic;
  }

  Status run(Timestamp start, Timestamp end, BacktestResult& out) {
    begin_ = start;
    first_sample_ = TRY(first_sample_of(
        storage_, slo_, {.min = start - slo_.period_at_most(), .max = end}, cancel_));
    const Duration span = Duration{clock_.length.ms * kPointsMax};
    for (Timestamp at = start; at <= end; at = at + span) {
      TRY(run_part(at, std::min(end, at + span - clock_.length), end));
    }
    for (auto& [labels, group] : groups_) {
      if (is_calendar_ && group.is_known) TRY(ask_period(labels, group.reading));
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
    bool is_known = false;  ///< Some window has shown it.
  };
  using Values = std::map<tsdb::Labels, double>;

  Timestamp moment(std::size_t i, Timestamp t) const {
    return is_held_ ? asked_at(window(i), t) : t;
  }

  Duration window(std::size_t i) const {
    return i == slo_.windows().size() ? nominal_period(slo_.definition().period)
                                      : slo_.windows()[i];
  }

  tsdb::Labels group_of(const tsdb::Labels& labels) const {
    return slo_.group_by().empty() ? labels.drop_metric_name() : labels.keep(slo_.group_by());
  }

  template <typename Put>
  Status ask(const std::string& text, Timestamp start, Timestamp end, Columns& columns,
             std::size_t i, Put&& put) {
    const auto steps = static_cast<std::int64_t>((end - start).ms / clock_.length.ms + 1);
    const Timestamp first = moment(i, start);
    // What a moment says holds until the next one.
    Duration pause = clock_.length;
    if (is_held_) pause = std::max(pause, pause_of(window(i)));
    const query::PreparedQuery prepared =
        TRY(engine_.prepare({.text = text, .start = first, .end = moment(i, end), .step = pause}));
    const query::QueryResult answer = TRY(engine_.run(storage_, prepared, cancel_));
    for (const query::MatrixSeries& series : answer.matrix) {
      std::vector<Column>& all = columns[group_of(series.labels)];
      all.resize(slo_.windows().size() + 1, Column(static_cast<std::size_t>(steps)));
      for (std::size_t p = 0; p < series.points.size(); ++p) {
        const std::int64_t from_ms = series.points.times_ms[p] - start.ms;
        const std::int64_t until_ms = from_ms + pause.ms;
        std::int64_t n =
            std::max<std::int64_t>(0, (from_ms + clock_.length.ms - 1) / clock_.length.ms);
        for (; n < steps && n * clock_.length.ms < until_ms; ++n) {
          put(all[i], static_cast<std::size_t>(n), series.points.values[p]);
        }
      }
    }
    return {};
  }

  /// The budget of a calendar period, whose length is another at every moment.
  Status ask_period(const tsdb::Labels& labels, BurnReading& reading) {
    const std::size_t i = slo_.windows().size();
    const Timestamp at = moment(i, reading.t);
    if (at != period_at_) {
      const Duration length = at - period_start(slo_.definition().period, at);
      period_at_ = at;
      for (Values* const values : {&period_ratio_, &period_bad_, &period_total_}) values->clear();
      if (length.ms > 0) {
        TRY(ask_once(slo_.ratio_query(length), at, period_ratio_));
        TRY(ask_once(slo_.bad_query(length), at, period_bad_));
        TRY(ask_once(slo_.total_query(length), at, period_total_));
      }
      period_coverage_ = coverage_at(first_sample_, at, length);
    }
    const auto value_of = [&](const Values& values, double nothing) {
      const auto found = values.find(labels);
      return found == values.end() ? nothing : found->second;
    };
    reading.period = {
        .events = {.bad = value_of(period_bad_, 0), .total = value_of(period_total_, 0)},
        .ratio = value_of(period_ratio_, std::nan("")),
        .coverage = period_coverage_};
    return {};
  }
  Status ask_once(const std::string& text, Timestamp t, Values& out) {
    if (text.empty()) return {};
    const query::PreparedQuery prepared =
        TRY(engine_.prepare({.text = text, .start = t, .end = t}));
    const query::QueryResult answer = TRY(engine_.run(storage_, prepared, cancel_));
    if (answer.type == query::ResultType::kScalar) out[{}] = answer.scalar;
    for (const query::VectorElement& one : answer.vector) out[group_of(one.labels)] = one.value;
    return {};
  }

  Status run_part(Timestamp start, Timestamp end, Timestamp last) {
    const auto steps = static_cast<std::size_t>((end - start).ms / clock_.length.ms + 1);
    Columns columns;
    for (const auto& [labels, group] : groups_) columns[labels];  // It may have ended before.
    const std::size_t asked = slo_.windows().size() + (is_calendar_ ? 0 : 1);
    for (std::size_t i = 0; i < asked; ++i) {
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
        if (!read(group, all, n, t)) continue;
        if (is_calendar_ && weighs_traffic_) TRY(ask_period(labels, group.reading));
        judge_tiers(slo_, group.reading, group.tiers);
        const Verdicts verdicts = group.alarm.step(slo_, group.reading, group.tiers);
        if (is_calendar_ && group.recorder->begins(verdicts)) {
          TRY(ask_period(labels, group.reading));
        }
        group.recorder->note(group.reading, group.tiers, verdicts);
        note_moment(trace_, slo_, labels, group.reading, group.tiers, verdicts, t == last);
      }
    }
    return {};
  }

  /// False: nobody knows the group yet.
  bool read(Group& group, const std::vector<Column>& all, std::size_t n, Timestamp t) const {
    BurnReading& reading = group.reading;
    const std::size_t count = slo_.windows().size();
    reading.t = t;
    reading.has_counts = has_counts_;
    reading.watched_since = begin_;
    reading.windows.resize(count);
    for (std::size_t i = 0; i <= count; ++i) {
      if (i == count && is_calendar_) break;
      WindowValue& value = i == count ? reading.period : reading.windows[i];
      value.ratio = all[i].ratio[n];
      value.events = {.bad = all[i].bad[n], .total = all[i].total[n]};
      value.coverage = coverage_at(first_sample_, moment(i, t), window(i));
      group.is_known = group.is_known || all[i].is_there[n];
    }
    if (all.front().is_there[n]) reading.last_sample = t;
    if (!std::isnan(reading.windows.front().ratio)) reading.last_event = t;
    return group.is_known;
  }

  tsdb::Queryable& storage_;
  const query::Engine& engine_;
  const Slo& slo_;
  const StepClock clock_;
  const CancelToken* const cancel_;
  BacktestTrace* const trace_;
  bool has_counts_ = false;
  bool is_held_ = false;  ///< Long windows are asked at some of the times only: asked_at().
  bool is_calendar_ = false;
  bool weighs_traffic_ = false;
  Timestamp begin_;
  std::optional<Timestamp> first_sample_;
  // Of a calendar period, as last asked.
  Timestamp period_at_ = kMinTimestamp;
  Values period_ratio_;
  Values period_bad_;
  Values period_total_;
  double period_coverage_ = 0;
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
