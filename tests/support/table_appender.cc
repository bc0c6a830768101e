#include "tests/support/table_appender.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace tarsier::testing {

using tsdb::AppendOutcome;
using tsdb::SeriesRef;

class TableAppender final : public tsdb::Appender {
 public:
  explicit TableAppender(TableHead& head) : head_(head) {}

  Result<SeriesRef> resolve(const tsdb::Labels& labels) override {
    ++head_.resolve_count;
    if (!head_.resolve_status.ok()) return head_.resolve_status;
    const auto known = head_.numbers_.find(labels);
    if (known != head_.numbers_.end()) return SeriesRef{known->second};
    if (head_.series_.size() >= head_.series_max) {
      return limit_exceeded("the head may hold no more series");
    }
    const std::uint64_t number = head_.next_number_++;
    head_.numbers_[labels] = number;
    head_.series_[number].labels = labels;
    return SeriesRef{number};
  }

  AppendOutcome append(SeriesRef series, tsdb::Sample sample) override {
    const auto found = head_.series_.find(series.value);
    if (found == head_.series_.end()) return AppendOutcome::kUnknownSeries;
    std::vector<tsdb::Sample>& pending = pending_[series.value];
    const std::vector<tsdb::Sample>& stored = found->second.samples;
    if (sample.t < head_.oldest_allowed) return AppendOutcome::kOutOfBounds;
    if (sample.t <= newest_histogram(series.value)) {
      return sample.t == newest_histogram(series.value) ? AppendOutcome::kDuplicate
                                                        : AppendOutcome::kOutOfOrder;
    }
    if (!pending.empty() || !stored.empty()) {
      const tsdb::Sample newest = pending.empty() ? stored.back() : pending.back();
      if (sample == newest) return AppendOutcome::kIgnored;
      if (sample.t == newest.t) return AppendOutcome::kDuplicate;
      if (sample.t < newest.t) return AppendOutcome::kOutOfOrder;
    }
    pending.push_back(sample);
    return AppendOutcome::kAppended;
  }

  void append_batch(std::span<const SeriesRef> series, std::span<const tsdb::Sample> samples,
                    std::span<AppendOutcome> outcomes) override {
    CHECK(series.size() == samples.size() && samples.size() == outcomes.size());
    for (std::size_t i = 0; i < series.size(); ++i) outcomes[i] = append(series[i], samples[i]);
  }

  AppendOutcome append_histogram(SeriesRef series, Timestamp t,
                                 tsdb::IntegerHistogram histogram) override {
    return queue(series, t, std::move(histogram));
  }
  AppendOutcome append_float_histogram(SeriesRef series, Timestamp t,
                                       tsdb::FloatHistogram histogram) override {
    return queue(series, t, std::move(histogram));
  }

  AppendOutcome append_exemplar(SeriesRef series, const tsdb::Exemplar& exemplar) override {
    const auto found = head_.series_.find(series.value);
    if (found == head_.series_.end()) return AppendOutcome::kUnknownSeries;
    if (!tsdb::validate_for_storage(exemplar).ok()) return AppendOutcome::kInvalid;
    std::vector<tsdb::Exemplar>& pending = pending_exemplars_[series.value];
    const std::vector<tsdb::Exemplar>& stored = found->second.exemplars;
    if (!pending.empty() || !stored.empty()) {
      const tsdb::Exemplar& newest = pending.empty() ? stored.back() : pending.back();
      if (exemplar == newest) return AppendOutcome::kIgnored;
      if (exemplar.t < newest.t) return AppendOutcome::kOutOfOrder;
    }
    pending.push_back(exemplar);
    return AppendOutcome::kAppended;
  }

  void set_metadata(SeriesRef series, const tsdb::Metadata& metadata) override {
    if (head_.series_.contains(series.value)) head_.series_[series.value].metadata = metadata;
  }

  tsdb::Labels labels_of(SeriesRef series) const override {
    const auto found = head_.series_.find(series.value);
    return found == head_.series_.end() ? tsdb::Labels() : found->second.labels;
  }

  Result<tsdb::LogPosition> commit() override {
    if (const auto race = std::exchange(head_.before_commit, nullptr)) race();
    if (!head_.commit_status.ok()) return head_.commit_status;
    refused_.clear();
    for (auto& [number, samples] : pending_) {
      std::vector<tsdb::Sample>& stored = head_.series_[number].samples;
      for (const tsdb::Sample& sample : samples) {
        if (stored.empty() || stored.back().t < sample.t) {
          stored.push_back(sample);
        } else if (sample != stored.back()) {
          const bool is_double = sample.t == stored.back().t;
          refused_.push_back({SeriesRef{number}, sample,
                              is_double ? AppendOutcome::kDuplicate : AppendOutcome::kOutOfOrder});
        }
      }
    }
    for (auto& [number, histograms] : pending_histograms_) {
      auto& stored = head_.series_[number].histograms;
      std::move(histograms.begin(), histograms.end(), std::back_inserter(stored));
    }
    for (auto& [number, exemplars] : pending_exemplars_) {
      auto& stored = head_.series_[number].exemplars;
      std::move(exemplars.begin(), exemplars.end(), std::back_inserter(stored));
    }
    clear();
    return tsdb::LogPosition{++head_.commit_count};
  }

  std::span<const tsdb::LateRefusal> refused_at_commit() const override { return refused_; }
  void rollback() override {
    clear();
    refused_.clear();
  }

 private:
  using Histograms = std::vector<std::pair<Timestamp, tsdb::AnyHistogram>>;

  void clear() {
    pending_.clear();
    pending_histograms_.clear();
    pending_exemplars_.clear();
  }

  Timestamp newest_histogram(std::uint64_t number) const {
    const auto pending = pending_histograms_.find(number);
    if (pending != pending_histograms_.end() && !pending->second.empty()) {
      return pending->second.back().first;
    }
    const Histograms& stored = head_.series_.at(number).histograms;
    return stored.empty() ? kMinTimestamp : stored.back().first;
  }

  AppendOutcome queue(SeriesRef series, Timestamp t, auto histogram) {
    const auto found = head_.series_.find(series.value);
    if (found == head_.series_.end()) return AppendOutcome::kUnknownSeries;
    if (!prepare_for_storage(histogram).ok()) return AppendOutcome::kInvalid;
    if (t < head_.oldest_allowed) return AppendOutcome::kOutOfBounds;
    Histograms& pending = pending_histograms_[series.value];
    const Histograms& stored = found->second.histograms;
    if (!pending.empty() || !stored.empty()) {
      const auto& newest = pending.empty() ? stored.back() : pending.back();
      if (t == newest.first) {
        return is_same(newest.second, histogram) ? AppendOutcome::kIgnored
                                                 : AppendOutcome::kDuplicate;
      }
      if (t < newest.first) return AppendOutcome::kOutOfOrder;
    }
    const std::vector<tsdb::Sample>& floats =
        pending_[series.value].empty() ? found->second.samples : pending_[series.value];
    if (!floats.empty() && t <= floats.back().t) {
      return t == floats.back().t ? AppendOutcome::kDuplicate : AppendOutcome::kOutOfOrder;
    }
    pending.emplace_back(t, std::move(histogram));
    return AppendOutcome::kAppended;
  }

  TableHead& head_;
  std::map<std::uint64_t, std::vector<tsdb::Sample>> pending_;
  std::map<std::uint64_t, Histograms> pending_histograms_;
  std::map<std::uint64_t, std::vector<tsdb::Exemplar>> pending_exemplars_;
  std::vector<tsdb::LateRefusal> refused_;
};

std::unique_ptr<tsdb::Appender> TableHead::appender() {
  return std::make_unique<TableAppender>(*this);
}

void TableHead::when_synced(tsdb::LogPosition position, std::function<void(Status)> done) {
  last_waited = position;
  if (hold_syncs) {
    held_.push_back(std::move(done));
  } else {
    done(sync_status);
  }
}

void TableHead::release_syncs() {
  for (const auto& done : std::exchange(held_, {})) done(sync_status);
}

void TableHead::drop(const tsdb::Labels& labels) {
  const auto known = numbers_.find(labels);
  CHECK(known != numbers_.end());
  series_.erase(known->second);
  numbers_.erase(known);
}

void TableHead::drop_all() {
  series_.clear();
  numbers_.clear();
}

const TableHead::Series* TableHead::find(const tsdb::Labels& labels) const {
  const auto known = numbers_.find(labels);
  return known == numbers_.end() ? nullptr : &series_.at(known->second);
}

std::size_t TableHead::sample_count() const {
  std::size_t count = 0;
  for (const auto& [number, series] : series_) count += series.samples.size();
  return count;
}

}  // namespace tarsier::testing
