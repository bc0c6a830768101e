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

std::vector<Duration> windows_with_period(const Slo& slo) {
  std::vector<Duration> windows = slo.windows();
  windows.push_back(slo.definition().period.length);
  return windows;
}

}  // namespace

Duration pause_of(Duration window) {
  if (window > days(3)) return minutes(5);
  return window >= hours(2) ? minutes(1) : Duration{0};
}

Timestamp asked_at(Duration window, Timestamp t) {
  const Duration pause = pause_of(window);
  return pause.ms == 0 ? t : Timestamp{t.ms / pause.ms * pause.ms};
}

double coverage_at(std::optional<Timestamp> first_sample, Timestamp t, Duration window) {
  if (!first_sample || window.ms <= 0) return 0;
  const auto covered = static_cast<double>((t - *first_sample).ms);
  return std::clamp(covered / static_cast<double>(window.ms), 0.0, 1.0);
}

std::unique_ptr<PromqlProgram> program_of(const Slo& slo) {
  if (slo.definition().period.is_calendar()) return nullptr;  // Of another length each time.
  const SliQueries queries = query_templates_of(slo.definition().sli, slo.group_by());
  std::vector<std::string> texts = {queries.ratio};
  if (!queries.total.empty()) texts.insert(texts.end(), {queries.bad, queries.total});
  return PromqlProgram::compile(texts, windows_with_period(slo));
}

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

SloRatios::SloRatios(std::shared_ptr<const Slo> slo) : slo_(std::move(slo)) {
  program_ = program_of(*slo_);
}

void SloRatios::set_slo(std::shared_ptr<const Slo> slo) {
  slo_ = std::move(slo);
  asked_at_.clear();
  groups_.clear();
  program_ = program_of(*slo_);
}

Status SloRatios::advance_program(tsdb::Queryable& storage, Timestamp t,
                                  const CancelToken* cancel) {
  if (t - program_since_ >= kReadAnew) {
    program_since_ = t;
    program_->reset();
  }
  return program_->advance(storage, t, cancel);
}

void SloRatios::set_window(std::size_t i, const Values& ratios, const Values& bad,
                           const Values& total) {
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

Status SloRatios::read_windows_at(const query::Engine& engine, tsdb::Queryable& storage,
                                  Timestamp t, const CancelToken* cancel) {
  const std::vector<Duration>& windows = slo_->windows();
  asked_at_.resize(windows.size() + 1, kMinTimestamp);
  lengths_.resize(windows.size() + 1);
  const bool has_counts = !slo_->total_query(minutes(5)).empty();
  for (std::size_t i = 0; i <= windows.size(); ++i) {
    const bool is_period = i == windows.size();
    const Duration usual = is_period ? nominal_period(slo_->definition().period) : windows[i];
    const Timestamp at = program_ ? t : asked_at(usual, t);
    if (at == asked_at_[i]) continue;
    const Timestamp start =
        is_period ? period_start(slo_->definition().period, at) : at - windows[i];
    const Duration window = at - start;
    Values ratios;
    Values bad;
    Values total;
    if (program_) {
      ratios = program_->value(i);
      if (has_counts) {
        bad = program_->value(i, 1);
        total = program_->value(i, 2);
      }
    } else if (window.ms > 0) {  // Else a calendar period has only just begun.
      ratios = TRY(ask(engine, storage, slo_->ratio_query(window), at, cancel));
      if (has_counts) {
        bad = TRY(ask(engine, storage, slo_->bad_query(window), at, cancel));
        total = TRY(ask(engine, storage, slo_->total_query(window), at, cancel));
      }
    }
    asked_at_[i] = at;
    lengths_[i] = window;
    set_window(i, ratios, bad, total);
  }
  return {};
}

Status SloRatios::read(const query::Engine& engine, tsdb::Queryable& storage, Timestamp t,
                       const CancelToken* cancel) {
  if (!first_sample_) {
    const TimeRange range{.min = t - slo_->period_at_most(), .max = t};
    first_sample_ = TRY(first_sample_of(storage, *slo_, range, cancel));
  }
  if (program_) TRY(advance_program(storage, t, cancel));
  const std::size_t group_count = groups_.size();
  const bool is_first = asked_at_.empty();
  TRY(read_windows_at(engine, storage, t, cancel));
  if (!is_first && groups_.size() > group_count) {
    // History has come of a group nobody knew when the long windows were asked for.
    asked_at_.clear();
    TRY(read_windows_at(engine, storage, t, cancel));
  }
  const std::vector<Duration>& windows = slo_->windows();
  const bool has_counts = !slo_->total_query(minutes(5)).empty();
  for (auto& [labels, group] : groups_) {
    BurnReading& reading = group.reading;
    reading.t = t;
    reading.has_counts = has_counts;
    for (std::size_t i = 0; i <= windows.size(); ++i) {
      WindowValue& value = i == windows.size() ? reading.period : reading.windows[i];
      value.coverage = coverage_at(first_sample_, asked_at_[i], lengths_[i]);
    }
    if (group.has_samples) reading.last_sample = t;
    if (!std::isnan(reading.windows.front().ratio)) reading.last_event = t;
  }
  return {};
}

}  // namespace tarsier::alerting
