#include "alerting/slo_taps.h"

#include <algorithm>
#include <cmath>

namespace tarsier::alerting {

void SloTaps::rebuild(const std::vector<SloCounter*>& counters) {
  counters_ = counters;
  terms_by_name_.clear();
  other_terms_.clear();
  series_.clear();
  ids_.clear();
  for (SloCounter* const counter : counters) {
    for (std::size_t i = 0; i < counter->slo().terms().size(); ++i) {
      const std::vector<tsdb::Matcher>& matchers = counter->slo().terms()[i].matchers;
      const auto name = std::find_if(matchers.begin(), matchers.end(), [](const tsdb::Matcher& m) {
        return m.name() == tsdb::kMetricName && m.op() == tsdb::MatchOp::kEqual;
      });
      std::vector<Term>& terms =
          name == matchers.end() ? other_terms_ : terms_by_name_[name->value()];
      terms.push_back({.counter = counter, .index = i});
    }
  }
}

void SloTaps::add_term(Series& series, const Term& term, const tsdb::Labels& labels) const {
  const SliTerm& definition = term.counter->slo().terms()[term.index];
  const bool is_match =
      std::all_of(definition.matchers.begin(), definition.matchers.end(),
                  [&](const tsdb::Matcher& m) { return m.matches(labels.get(m.name())); });
  if (!is_match) return;
  GroupCounter& group = term.counter->group(group_of(term.counter->slo(), labels));
  series.taps.push_back({.term = term, .group = &group, .tail = {}});
}

SloTaps::Id SloTaps::follow(const tsdb::Labels& labels) {
  if (const auto known = ids_.find(labels); known != ids_.end()) return {known->second};
  Series series;
  const auto found = terms_by_name_.find(std::string(labels.get(tsdb::kMetricName)));
  if (found != terms_by_name_.end()) {
    for (const Term& term : found->second) add_term(series, term, labels);
  }
  for (const Term& term : other_terms_) add_term(series, term, labels);
  if (series.taps.empty()) return {};
  series_.push_back(std::move(series));
  const auto id = static_cast<std::uint32_t>(series_.size());
  ids_.emplace(labels, id);
  return {id};
}

bool SloTaps::is_next(const Tap& tap, Timestamp t, double value) {
  if (!tap.tail.is_known || t.ms > tap.tail.t_ms) return true;
  SloCounter& counter = *tap.term.counter;
  // Seen by a recount already, or out of order: telling the latter needs a recount.
  const bool is_again = t.ms == tap.tail.t_ms && value == tap.tail.value;
  if (!is_again && counter.is_ready()) counter.mark_late(t);
  return false;
}

void SloTaps::count(Tap& tap, Timestamp t, EventCounts events) {
  SloCounter& counter = *tap.term.counter;
  if (!counter.is_ready()) return;  // A recount is to come.
  // A new group's history is counted with it.
  if (!tap.group->is_ready() || !tap.group->add(t, events)) counter.mark_late(t);
}

void SloTaps::add(Id id, Timestamp t, double value) {
  if (std::isnan(value)) return;
  for (Tap& tap : series_[id.value - 1].taps) {
    const SliTerm& term = tap.term.counter->slo().terms()[tap.term.index];
    if (term.measure == SliMeasure::kHistogram || !is_next(tap, t, value)) continue;
    count(tap, t, events_of(term, tap.tail, value));
    tap.tail = {.t_ms = t.ms, .value = value, .is_known = true};
  }
}

void SloTaps::add_histogram(Id id, Timestamp t, const tsdb::FloatHistogram& histogram) {
  if (histogram.is_stale()) return;
  for (Tap& tap : series_[id.value - 1].taps) {
    const SliTerm& term = tap.term.counter->slo().terms()[tap.term.index];
    if (term.measure != SliMeasure::kHistogram || !is_next(tap, t, histogram.count)) continue;
    const SeriesTail now{.t_ms = t.ms,
                         .value = histogram.count,
                         .below = observations_below(histogram, term.bound),
                         .is_known = true};
    count(tap, t, events_between(term, tap.tail, now));
    tap.tail = now;
  }
}

bool SloTaps::is_new(Id id, Timestamp t) const {
  const std::vector<Tap>& taps = series_[id.value - 1].taps;
  return std::any_of(taps.begin(), taps.end(),
                     [&](const Tap& tap) { return !tap.tail.is_known || t.ms > tap.tail.t_ms; });
}

void SloTaps::adopt(SloCounter& counter, const std::vector<ScannedSeries>& scanned) {
  for (const ScannedSeries& one : scanned) {
    const Id id = follow(one.labels);
    if (!id) continue;
    for (Tap& tap : series_[id.value - 1].taps) {
      if (tap.term.counter == &counter && tap.term.index == one.term) tap.tail = one.tail;
    }
  }
}

std::vector<std::vector<tsdb::Matcher>> SloTaps::selectors() const {
  std::vector<std::vector<tsdb::Matcher>> out;
  for (const SloCounter* const counter : counters_) {
    for (const SliTerm& term : counter->slo().terms()) {
      if (std::find(out.begin(), out.end(), term.matchers) == out.end()) {
        out.push_back(term.matchers);
      }
    }
  }
  return out;
}

}  // namespace tarsier::alerting
