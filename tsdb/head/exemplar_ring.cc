#include "tsdb/head/exemplar_ring.h"

#include <algorithm>
#include <utility>

namespace tarsier::tsdb {

bool ExemplarRing::is_enabled() const {
  MutexLock lock(mutex_);
  return capacity_ > 0;
}

AppendOutcome ExemplarRing::judge_after(const Exemplar& newest, const Exemplar& exemplar) const {
  if (exemplar == newest) return AppendOutcome::kIgnored;
  if (exemplar.t != newest.t) {
    return exemplar.t < newest.t ? AppendOutcome::kOutOfOrder : AppendOutcome::kAppended;
  }
  // Several of one moment come sorted: what sorts before the newest was here already.
  if (exemplar.value != newest.value) {
    return exemplar.value < newest.value ? AppendOutcome::kOutOfOrder : AppendOutcome::kAppended;
  }
  return exemplar.labels < newest.labels ? AppendOutcome::kOutOfOrder : AppendOutcome::kAppended;
}

AppendOutcome ExemplarRing::judge(const Labels& series, const Exemplar& exemplar) const {
  if (!validate_for_storage(exemplar).ok()) return AppendOutcome::kInvalid;
  MutexLock lock(mutex_);
  if (capacity_ == 0) return AppendOutcome::kIgnored;
  const auto found = chains_.find(series);
  if (found == chains_.end()) return AppendOutcome::kAppended;
  const AppendOutcome outcome = judge_after(entries_[found->second.newest].exemplar, exemplar);
  if (outcome == AppendOutcome::kOutOfOrder) ++out_of_order_count_;
  return outcome;
}

AppendOutcome ExemplarRing::add(const Labels& series, Exemplar exemplar) {
  if (!validate_for_storage(exemplar).ok()) return AppendOutcome::kInvalid;
  MutexLock lock(mutex_);
  return add_locked(series, std::move(exemplar));
}

AppendOutcome ExemplarRing::add_locked(const Labels& series, Exemplar exemplar) {
  if (capacity_ == 0) return AppendOutcome::kIgnored;
  if (const auto found = chains_.find(series); found != chains_.end()) {
    const AppendOutcome outcome = judge_after(entries_[found->second.newest].exemplar, exemplar);
    if (outcome != AppendOutcome::kAppended) return outcome;
  }
  const std::size_t at = next_;
  next_ = (next_ + 1) % capacity_;
  if (at == entries_.size()) {
    entries_.emplace_back();
  } else {
    remove_at(at);
  }
  const auto chain = chains_.try_emplace(series).first;
  if (chain->second.newest == kNone) {
    chain->second.oldest = at;
  } else {
    entries_[chain->second.newest].next = at;
  }
  chain->second.newest = at;
  entries_[at] = {std::move(exemplar), kNone, chain};
  ++appended_count_;
  return AppendOutcome::kAppended;
}

/// What is oldest in the ring is oldest in its series.
void ExemplarRing::remove_at(std::size_t at) {
  const auto chain = entries_[at].series;
  if (entries_[at].next == kNone) {
    chains_.erase(chain);
  } else {
    chain->second.oldest = entries_[at].next;
  }
}

void ExemplarRing::set_capacity(std::size_t capacity) {
  MutexLock lock(mutex_);
  if (capacity == capacity_) return;
  std::vector<std::pair<Labels, Exemplar>> kept;
  const std::size_t count = std::min(entries_.size(), capacity);
  // Until the ring is full the next place is behind the newest, and the oldest is in front.
  const std::size_t oldest = entries_.size() < capacity_ ? 0 : next_;
  for (std::size_t i = entries_.size() - count; i < entries_.size(); ++i) {
    Entry& entry = entries_[(oldest + i) % entries_.size()];
    kept.emplace_back(entry.series->first, std::move(entry.exemplar));
  }
  chains_.clear();
  std::vector<Entry>().swap(entries_);
  next_ = 0;
  capacity_ = capacity;
  const std::uint64_t appended = appended_count_;
  for (auto& [series, exemplar] : kept) add_locked(series, std::move(exemplar));
  appended_count_ = appended;
}

std::vector<SeriesExemplars> ExemplarRing::select(
    const std::vector<std::vector<Matcher>>& selectors, TimeRange range) const {
  std::vector<SeriesExemplars> out;
  MutexLock lock(mutex_);
  for (const auto& [series, chain] : chains_) {
    if (entries_[chain.oldest].exemplar.t > range.max) continue;
    if (entries_[chain.newest].exemplar.t < range.min) continue;
    const Labels& labels = series;
    const bool is_selected =
        std::any_of(selectors.begin(), selectors.end(), [&](const std::vector<Matcher>& matchers) {
          return std::all_of(matchers.begin(), matchers.end(), [&](const Matcher& matcher) {
            return matcher.matches(labels.get(matcher.name()));
          });
        });
    if (!is_selected) continue;
    SeriesExemplars found{labels, {}};
    for (std::size_t at = chain.oldest; at != kNone; at = entries_[at].next) {
      if (range.contains(entries_[at].exemplar.t)) found.exemplars.push_back(entries_[at].exemplar);
    }
    if (!found.exemplars.empty()) out.push_back(std::move(found));
  }
  return out;
}

void ExemplarRing::collect(MetricWriter& out) const {
  const auto number = [](std::uint64_t n) { return static_cast<double>(n); };
  MutexLock lock(mutex_);
  out.counter("prometheus_tsdb_exemplar_exemplars_appended_total",
              "Total number of appended exemplars.", number(appended_count_));
  out.gauge("prometheus_tsdb_exemplar_exemplars_in_storage",
            "Number of exemplars currently in circular storage.", number(entries_.size()));
  out.gauge("prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
            "Number of series with exemplars currently in circular storage.",
            number(chains_.size()));
  const std::size_t oldest = entries_.size() < capacity_ ? 0 : next_;
  out.gauge("prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds",
            "The timestamp of the oldest exemplar stored in circular storage. Useful to check for "
            "what time range the current exemplar buffer limit allows.",
            entries_.empty() ? 0 : static_cast<double>(entries_[oldest].exemplar.t.ms) / 1000);
  out.counter("prometheus_tsdb_exemplar_out_of_order_exemplars_total",
              "Total number of out of order exemplar ingestion failed attempts.",
              number(out_of_order_count_));
  out.gauge("prometheus_tsdb_exemplar_max_exemplars",
            "Total number of exemplars the exemplar storage can store, resizeable.",
            number(capacity_));
}

}  // namespace tarsier::tsdb
