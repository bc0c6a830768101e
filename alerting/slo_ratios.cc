#include "alerting/slo_ratios.h"

#include <algorithm>
#include <cmath>

#include "alerting/sli_terms.h"
#include "query/expression.h"
#include "query/parse.h"

namespace tarsier::alerting {
namespace {

/// Programs do not see samples that come late.
constexpr Duration kReadAnew = hours(1);

Duration pause_of(Duration window) {
  if (window > days(3)) return minutes(5);
  return window >= hours(2) ? minutes(1) : Duration{0};
}

}  // namespace

Result<std::optional<Timestamp>> first_sample_of(tsdb::Queryable& storage, const Slo& slo,
                                                 TimeRange range, const CancelToken* cancel) {
  std::optional<Timestamp> first;
  const query::ExprPtr parsed = TRY(query::parse_expression(slo.ratio_query(minutes(5))));
  const std::unique_ptr<tsdb::Querier> querier = TRY(storage.querier(range));
  for (const std::vector<tsdb::Matcher>& selector : query::selectors_of(*parsed)) {
    const std::unique_ptr<tsdb::SeriesSet> set =
        TRY(querier->select(selector, {.range = range}, cancel));
    for (std::size_t i = 0; i < set->size(); ++i) {
      tsdb::SampleColumns columns;
      tsdb::HistogramColumns histograms;
      TRY(set->read_mixed(i, range, columns, histograms));
      for (const auto& times : {columns.times_ms, histograms.times_ms}) {
        if (!times.empty() && (!first || times.front() < first->ms))
          first = Timestamp{times.front()};
      }
    }
  }
  return first;
}

SloRatios::SloRatios(std::shared_ptr<const Slo> slo) : slo_(std::move(slo)) { compile_programs(); }

void SloRatios::set_slo(std::shared_ptr<const Slo> slo) {
  slo_ = std::move(slo);
  asked_at_.clear();
  groups_.clear();
  compile_programs();
}

void SloRatios::compile_programs() {
  programs_ = {};
  if (slo_->definition().period.is_calendar())
    return;  // Its period is of another length each time.
  std::vector<Duration> windows = slo_->windows();
  windows.push_back(slo_->definition().period.length);
  const SliQueries queries = query_templates_of(slo_->definition().sli, slo_->group_by());
  programs_.ratio = PromqlProgram::compile(queries.ratio, windows);
  if (!programs_.ratio || queries.total.empty()) return;
  programs_.bad = PromqlProgram::compile(queries.bad, windows);
  programs_.total = PromqlProgram::compile(queries.total, windows);
  if (!programs_.bad || !programs_.total) programs_ = {};
}

Status SloRatios::advance_programs(tsdb::Queryable& storage, Timestamp t,
                                   const CancelToken* cancel) {
  const bool is_stale = t - programs_since_ >= kReadAnew;
  if (is_stale) programs_since_ = t;
  for (PromqlProgram* const program :
       {programs_.ratio.get(), programs_.bad.get(), programs_.total.get()}) {
    if (program == nullptr) continue;
    if (is_stale) program->reset();
    TRY(program->advance(storage, t, cancel));
  }
  return {};
}

void SloRatios::set_window(std::size_t i, Timestamp t, Duration window, const Values& ratios,
                           const Values& bad, const Values& total) {
  for (const auto& [labels, value] : ratios) groups_[labels];
  for (auto& [labels, group] : groups_) {
    const std::size_t count = slo_->windows().size();
    group.reading.windows.resize(count);
    WindowValue& value = i == count ? group.reading.period : group.reading.windows[i];
    const auto ratio = ratios.find(labels);
    value.ratio = ratio == ratios.end() ? std::nan("") : ratio->second;
    // Without traffic the query still gives 0 / 0.
    if (i == 0) group.has_samples = ratio != ratios.end();
    const auto found_bad = bad.find(labels);
    const auto found_total = total.find(labels);
    value.events = {.bad = found_bad == bad.end() ? 0 : found_bad->second,
                    .total = found_total == total.end() ? 0 : found_total->second};
    const double covered = first_sample_ ? static_cast<double>((t - *first_sample_).ms) : 0;
    value.coverage = std::clamp(covered / static_cast<double>(window.ms), 0.0, 1.0);
  }
}

Result<SloRatios::Values> SloRatios::ask(const query::Engine& engine, tsdb::Queryable& storage,
                                         const std::string& query, Timestamp t,
                                         const CancelToken* cancel) const {
  Values out;
  if (query.empty()) return out;
  const query::PreparedQuery prepared = TRY(engine.prepare({.text = query, .start = t, .end = t}));
  const query::QueryResult answer = TRY(engine.run(storage, prepared, cancel));
  if (answer.type == query::ResultType::kScalar) {
    out[{}] = answer.scalar;
    return out;
  }
  if (answer.type != query::ResultType::kVector) return invalid("the query gives no vector");
  for (const query::VectorElement& element : answer.vector) {
    const tsdb::Labels group = slo_->group_by().empty() ? element.labels.drop_metric_name()
                                                        : element.labels.keep(slo_->group_by());
    out[group] = element.value;
  }
  return out;
}

Status SloRatios::read(const query::Engine& engine, tsdb::Queryable& storage, Timestamp t,
                       const CancelToken* cancel) {
  if (!first_sample_) {
    const TimeRange range{.min = t - slo_->period_at_most(), .max = t};
    first_sample_ = TRY(first_sample_of(storage, *slo_, range, cancel));
  }
  if (programs_.ratio) TRY(advance_programs(storage, t, cancel));
  const std::vector<Duration>& windows = slo_->windows();
  asked_at_.resize(windows.size() + 1, kMinTimestamp);
  const bool has_counts = !slo_->total_query(minutes(5)).empty();
  for (std::size_t i = 0; i <= windows.size(); ++i) {
    const bool is_period = i == windows.size();
    const Timestamp start = is_period ? period_start(slo_->definition().period, t) : t - windows[i];
    const Duration window = t - start;
    const bool is_held = !programs_.ratio && asked_at_[i] != kMinTimestamp;
    if (is_held && t - asked_at_[i] < pause_of(window)) continue;
    if (window.ms <= 0) continue;
    Values ratios;
    Values bad;
    Values total;
    if (programs_.ratio) {
      ratios = programs_.ratio->value(i);
      if (programs_.bad) bad = programs_.bad->value(i);
      if (programs_.total) total = programs_.total->value(i);
    } else {
      ratios = TRY(ask(engine, storage, slo_->ratio_query(window), t, cancel));
      if (has_counts) {
        bad = TRY(ask(engine, storage, slo_->bad_query(window), t, cancel));
        total = TRY(ask(engine, storage, slo_->total_query(window), t, cancel));
      }
    }
    asked_at_[i] = t;
    set_window(i, t, window, ratios, bad, total);
  }
  for (auto& [labels, group] : groups_) {
    BurnReading& reading = group.reading;
    reading.t = t;
    reading.has_counts = has_counts;
    const WindowValue& shortest = reading.windows.front();
    const bool has_events = !std::isnan(shortest.ratio) || shortest.events.total > 0;
    if (group.has_samples) reading.last_sample = t;
    if (has_events) reading.last_event = t;
  }
  return {};
}

}  // namespace tarsier::alerting
