#include "alerting/slo_taps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <variant>

namespace tarsier::alerting {
namespace {

/// Selectors that are handed on as they are; beyond that, names of metrics are.
constexpr std::size_t kSelectorsCompared = 200;

std::string key_of(std::string_view metric, std::string_view label, std::string_view value) {
  std::string out(metric);
  out.append(1, '\0').append(label);
  return out.append(1, '\0').append(value);
}

/// Calls `use` with the key of each label that a selector of `metric` pins.
template <typename Use>
void for_each_pinned(const std::vector<tsdb::Matcher>& matchers, const std::string& metric,
                     Use&& use) {
  for (const tsdb::Matcher& m : matchers) {
    const bool is_pinned = m.op() == tsdb::MatchOp::kEqual && !m.value().empty();
    if (is_pinned && m.name() != tsdb::kMetricName) use(key_of(metric, m.name(), m.value()));
  }
}

}  // namespace

std::size_t SloTaps::HashOfKey::operator()(const HistoryKey& key) const noexcept {
  std::size_t out = 0;
  std::memcpy(&out, key.bytes.data(), sizeof(out));  // A digest is a hash already.
  return out;
}

void SloTaps::rebuild(const std::vector<SloCounter*>& counters) {
  counters_ = counters;
  terms_by_name_.clear();
  other_terms_.clear();
  taps_.clear();
  ids_.clear();
  refs_.clear();
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
  index_terms();
}

void SloTaps::index_terms() {
  terms_by_label_.clear();
  unpinned_terms_.clear();
  const auto matchers_of = [](const Term& term) -> const std::vector<tsdb::Matcher>& {
    return term.counter->slo().terms()[term.index].matchers;
  };
  std::unordered_map<std::string, std::size_t> counts;
  for (const auto& [metric, terms] : terms_by_name_) {
    for (const Term& term : terms) {
      for_each_pinned(matchers_of(term), metric, [&](const std::string& key) { ++counts[key]; });
    }
  }
  for (const auto& [metric, terms] : terms_by_name_) {
    for (const Term& term : terms) {
      std::string rarest;
      for_each_pinned(matchers_of(term), metric, [&](std::string key) {
        if (rarest.empty() || counts[key] < counts[rarest]) rarest = std::move(key);
      });
      (rarest.empty() ? unpinned_terms_[metric] : terms_by_label_[rarest]).push_back(term);
    }
  }
}

void SloTaps::add_term(std::vector<Tap>& taps, const Term& term, const tsdb::Labels& labels) const {
  const SliTerm& definition = term.counter->slo().terms()[term.index];
  const bool is_match =
      std::all_of(definition.matchers.begin(), definition.matchers.end(),
                  [&](const tsdb::Matcher& m) { return m.matches(labels.get(m.name())); });
  if (!is_match) return;
  GroupCounter& group = term.counter->group(group_of(term.counter->slo(), labels));
  taps.push_back({.extra = definition.bound,
                  .bad_weight = definition.bad_weight,
                  .total_weight = definition.total_weight,
                  .group = &group,
                  .counter = term.counter,
                  .term = static_cast<std::uint32_t>(term.index),
                  .measure = definition.measure});
}

SloTaps::Id SloTaps::follow(const tsdb::Labels& labels) {
  const HistoryKey key = history_key(labels.encoded());
  if (const auto known = ids_.find(key); known != ids_.end()) return {known->second};
  std::vector<Tap> taps;
  const std::string metric(labels.get(tsdb::kMetricName));
  const auto add_from = [&](const auto& index, const std::string& at) {
    const auto found = index.find(at);
    if (found == index.end()) return;
    for (const Term& term : found->second) add_term(taps, term, labels);
  };
  if (terms_by_name_.contains(metric)) {
    add_from(unpinned_terms_, metric);
    for (const tsdb::LabelView& label : labels) {
      add_from(terms_by_label_, key_of(metric, label.name, label.value));
    }
  }
  for (const Term& term : other_terms_) add_term(taps, term, labels);
  if (taps.empty()) return {};
  taps.back().is_last = true;
  const auto id = static_cast<std::uint32_t>(taps_.size() + 1);
  taps_.insert(taps_.end(), taps.begin(), taps.end());
  ids_.emplace(key, id);
  return {id};
}

void SloTaps::take(const tsdb::FollowedBatch& batch) {
  for (const tsdb::FollowedSeries& series : batch.series) {
    if (const Id id = follow(series.labels)) refs_.set(series.ref.value, id.value);
  }
  take_samples(batch.samples);
  for (const tsdb::FollowedHistogram& sample : batch.histograms) {
    const Id id{refs_.find(sample.ref.value)};
    if (!id) continue;
    const auto* const whole = std::get_if<tsdb::IntegerHistogram>(&sample.histogram);
    add_histogram(id, sample.t,
                  whole != nullptr ? tsdb::to_float(*whole)
                                   : std::get<tsdb::FloatHistogram>(sample.histogram));
  }
  for (const tsdb::SeriesRef ref : batch.ended) refs_.erase(ref.value);
}

/// The loop that every followed sample goes through. Its memory is all over the place: where a
/// sample's series is, what it is, whose it is. Each is asked for some samples before it is needed.
void SloTaps::take_samples(const std::vector<tsdb::FollowedSample>& samples) {
  constexpr std::size_t kAhead = 16;  // A power of two; of each of the three.
  std::array<Id, 2 * kAhead> ids{};
  const std::size_t count = samples.size();
  for (std::size_t i = 0; i < count + 2 * kAhead; ++i) {
    if (i + kAhead < count) refs_.prefetch(samples[i + kAhead].ref.value);
    if (i >= 2 * kAhead) {
      const tsdb::FollowedSample& sample = samples[i - 2 * kAhead];
      if (const Id id = ids[i % (2 * kAhead)]) add(id, sample.t, sample.v);
    }
    if (i < count) {
      const Id id{refs_.find(samples[i].ref.value)};
      ids[i % (2 * kAhead)] = id;
      if (id) __builtin_prefetch(&taps_[id.value - 1], 1);
    }
    if (i >= kAhead && i < count + kAhead) {
      if (const Id id = ids[(i - kAhead) % (2 * kAhead)]) {
        __builtin_prefetch(taps_[id.value - 1].group, 1);
      }
    }
  }
}

bool SloTaps::is_next(const Tap& tap, Timestamp t, double value) {
  if (!tap.is_known || t.ms > tap.t_ms) return true;
  SloCounter& counter = *tap.counter;
  // Seen by a recount already, or out of order: telling the latter needs a recount.
  const bool is_again = t.ms == tap.t_ms && value == tap.value;
  if (!is_again && counter.is_ready()) counter.mark_late(t);
  return false;
}

void SloTaps::count(const Tap& tap, Timestamp t, EventCounts events) {
  if (tap.group->add(t, events)) return;
  // A new group's history is counted with it; that of a new objective anyway.
  if (tap.counter->is_ready()) tap.counter->mark_late(t);
}

EventCounts SloTaps::events_of_sample(const Tap& tap, double value) {
  if (tap.measure == SliMeasure::kCounter) {
    if (!tap.is_known) return {};
    const double amount = value < tap.value ? value : value - tap.value;
    return {.bad = tap.bad_weight * amount, .total = tap.total_weight * amount};
  }
  return events_of(tap.counter->slo().terms()[tap.term],
                   {.t_ms = tap.t_ms, .value = tap.value, .is_known = tap.is_known}, value);
}

void SloTaps::add(Id id, Timestamp t, double value) {
  if (std::isnan(value)) return;
  for (Tap* tap = &taps_[id.value - 1];; ++tap) {
    if (tap->measure != SliMeasure::kHistogram && is_next(*tap, t, value)) {
      count(*tap, t, events_of_sample(*tap, value));
      tap->t_ms = t.ms;
      tap->value = value;
      tap->is_known = true;
    }
    if (tap->is_last) return;
  }
}

void SloTaps::add_histogram(Id id, Timestamp t, const tsdb::FloatHistogram& histogram) {
  if (histogram.is_stale()) return;
  for (Tap* tap = &taps_[id.value - 1];; ++tap) {
    if (tap->measure == SliMeasure::kHistogram && is_next(*tap, t, histogram.count)) {
      const SliTerm& term = tap->counter->slo().terms()[tap->term];
      const SeriesTail before{
          .t_ms = tap->t_ms, .value = tap->value, .below = tap->extra, .is_known = tap->is_known};
      const SeriesTail now{.t_ms = t.ms,
                           .value = histogram.count,
                           .below = observations_below(histogram, term.bound),
                           .is_known = true};
      count(*tap, t, events_between(term, before, now));
      tap->t_ms = now.t_ms;
      tap->value = now.value;
      tap->extra = now.below;
      tap->is_known = true;
    }
    if (tap->is_last) return;
  }
}

bool SloTaps::is_new(Id id, Timestamp t) const {
  for (const Tap* tap = &taps_[id.value - 1];; ++tap) {
    if (!tap->is_known || t.ms > tap->t_ms) return true;
    if (tap->is_last) return false;
  }
}

void SloTaps::adopt(SloCounter& counter, const std::vector<ScannedSeries>& scanned) {
  for (const ScannedSeries& one : scanned) {
    const Id id = follow(one.labels);
    if (!id) continue;
    for (Tap* tap = &taps_[id.value - 1];; ++tap) {
      // What came after the recounted time is counted already.
      const bool is_ahead = tap->is_known && tap->group->kept_ahead() && tap->t_ms > one.tail.t_ms;
      if (tap->counter == &counter && tap->term == one.term && !is_ahead) {
        tap->t_ms = one.tail.t_ms;
        tap->value = one.tail.value;
        if (tap->measure == SliMeasure::kHistogram) tap->extra = one.tail.below;
        tap->is_known = one.tail.is_known;
      }
      if (tap->is_last) break;
    }
  }
}

std::vector<std::vector<tsdb::Matcher>> SloTaps::selectors() const {
  std::vector<std::vector<tsdb::Matcher>> out;
  std::size_t count = other_terms_.size();
  for (const auto& [name, terms] : terms_by_name_) count += terms.size();
  const auto add = [&](const Term& term) {
    const std::vector<tsdb::Matcher>& matchers = term.counter->slo().terms()[term.index].matchers;
    const bool is_new =
        count > kSelectorsCompared || std::find(out.begin(), out.end(), matchers) == out.end();
    if (is_new) out.push_back(matchers);
  };
  for (const auto& [name, terms] : terms_by_name_) {
    if (count <= kSelectorsCompared) {
      std::for_each(terms.begin(), terms.end(), add);
    } else {  // follow() is exact; whoever delivers need not compare each series with thousands.
      out.push_back({tsdb::Matcher::equal(std::string(tsdb::kMetricName), name)});
    }
  }
  std::for_each(other_terms_.begin(), other_terms_.end(), add);
  return out;
}

}  // namespace tarsier::alerting
