#include "alerting/shared_scans.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace tarsier::alerting {

/// A selection with the newest sample of each series remembered for one range.
class SharedScans::Set final {
 public:
  Set(std::unique_ptr<tsdb::SeriesSet> series, bool remembers) : series_(std::move(series)) {
    if (remembers) slots_ = std::vector<Slot>(series_->size());
  }

  const tsdb::SeriesSet& series() const { return *series_; }

  Result<std::optional<tsdb::Sample>> last_sample(std::size_t i, TimeRange range) {
    if (slots_.empty() || !is_remembered(range)) return series_->last_sample(i, range);
    Slot& slot = slots_[i];
    // The acquire pairs with the release below: who sees kReady sees the sample.
    if (slot.state.load(std::memory_order_acquire) == kReady) return slot.sample;
    Result<std::optional<tsdb::Sample>> sample = series_->last_sample(i, range);
    unsigned char expected = kEmpty;
    if (sample.ok() && slot.state.compare_exchange_strong(expected, kClaimed)) {
      slot.sample = *sample;
      slot.state.store(kReady, std::memory_order_release);
    }
    return sample;
  }

 private:
  enum State : unsigned char { kEmpty, kClaimed, kReady };
  struct Slot {
    std::atomic<unsigned char> state{kEmpty};
    std::optional<tsdb::Sample> sample;
  };

  /// All instant selectors of one evaluation with the same key ask for one range; the first one
  /// decides.
  bool is_remembered(TimeRange range) {
    MutexLock lock(mutex_);
    if (!range_) range_ = range;
    return *range_ == range;
  }

  const std::unique_ptr<tsdb::SeriesSet> series_;
  std::vector<Slot> slots_;
  Mutex mutex_;
  std::optional<TimeRange> range_ GUARDED_BY(mutex_);
};

/// What a query holds: its own object over the shared one.
class SharedScans::Handle final : public tsdb::SeriesSet {
 public:
  explicit Handle(std::shared_ptr<Set> set) : set_(std::move(set)) {}

  std::size_t size() const override { return set_->series().size(); }
  tsdb::Labels labels(std::size_t i) const override { return set_->series().labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return set_->series().label(i, name);
  }
  Status read(std::size_t i, TimeRange range, tsdb::SampleColumns& out) const override {
    return set_->series().read(i, range, out);
  }
  Result<std::optional<tsdb::Sample>> last_sample(std::size_t i, TimeRange range) const override {
    return set_->last_sample(i, range);
  }
  bool may_have_histograms(std::size_t i) const override {
    return set_->series().may_have_histograms(i);
  }
  Status read_mixed(std::size_t i, TimeRange range, tsdb::SampleColumns& floats,
                    tsdb::HistogramColumns& histograms) const override {
    return set_->series().read_mixed(i, range, floats, histograms);
  }

 private:
  const std::shared_ptr<Set> set_;
};

class SharedScans::View final : public tsdb::Querier {
 public:
  View(SharedScans& scans, TimeRange range, std::unique_ptr<tsdb::Querier> inner)
      : scans_(scans), range_(range), inner_(std::move(inner)) {}

  Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                  const tsdb::SelectHints& hints,
                                                  const CancelToken* cancel) const override {
    auto sets = TRY(select_all({{.matchers = matchers, .hints = hints}}, cancel));
    return std::move(sets[0]);
  }

  Result<std::vector<std::unique_ptr<tsdb::SeriesSet>>> select_all(
      const std::vector<tsdb::SelectRequest>& requests, const CancelToken* cancel) const override {
    std::vector<std::unique_ptr<tsdb::SeriesSet>> out(requests.size());
    std::vector<tsdb::SelectRequest> missing;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (auto set = scans_.find(key_of(range_, requests[i]))) {
        out[i] = std::make_unique<Handle>(std::move(set));
      } else {
        missing.push_back(requests[i]);
        places.push_back(i);
      }
    }
    if (missing.empty()) return out;
    auto found = TRY(inner_->select_all(missing, cancel));
    for (std::size_t i = 0; i < found.size(); ++i) {
      out[places[i]] = std::make_unique<Handle>(
          scans_.keep(key_of(range_, missing[i]), missing[i].matchers, std::move(found[i])));
    }
    return out;
  }

  bool heeds_resolution() const override { return inner_->heeds_resolution(); }

  Result<std::vector<std::string>> label_names(
      const std::vector<tsdb::Matcher>& matchers) const override {
    return inner_->label_names(matchers);
  }
  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<tsdb::Matcher>& matchers) const override {
    return inner_->label_values(name, matchers);
  }

 private:
  SharedScans& scans_;
  const TimeRange range_;
  const std::unique_ptr<tsdb::Querier> inner_;
};

SharedScans::SharedScans(tsdb::Queryable& storage, std::size_t series_max)
    : storage_(storage), series_max_(series_max) {}

SharedScans::~SharedScans() = default;

Result<std::unique_ptr<tsdb::Querier>> SharedScans::querier(TimeRange range) {
  return std::make_unique<View>(*this, range, TRY(storage_.querier(range)));
}

std::string SharedScans::key_of(TimeRange range, const tsdb::SelectRequest& request) {
  const tsdb::SelectHints& hints = request.hints;
  std::string out =
      fmt::format("{};{};{};{};{};{};{};{};{};{}", range.min.ms, range.max.ms, hints.range.min.ms,
                  hints.range.max.ms, hints.step.ms, hints.window.ms, hints.series_limit,
                  hints.function, hints.resolution.grid.ms,
                  static_cast<int>(hints.resolution.use.value_or(tsdb::AggregateUse::kEvery)));
  for (const tsdb::Matcher& matcher : request.matchers) {
    const std::string text = matcher.to_string();
    out += fmt::format(";{}:{}", text.size(), text);
  }
  return out;
}

std::shared_ptr<SharedScans::Set> SharedScans::find(const std::string& key) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  ++hits_;
  return found->second.set;
}

std::shared_ptr<SharedScans::Set> SharedScans::keep(const std::string& key,
                                                    const std::vector<tsdb::Matcher>& matchers,
                                                    std::unique_ptr<tsdb::SeriesSet> found) {
  const std::size_t size = found->size();
  bool fits = false;
  {
    MutexLock lock(mutex_);
    fits = series_count_ + size <= series_max_;
    if (fits) series_count_ += size;
  }
  auto set = std::make_shared<Set>(std::move(found), fits);
  if (!fits) return set;
  MutexLock lock(mutex_);
  return entries_.emplace(key, Entry{.matchers = matchers, .set = std::move(set)})
      .first->second.set;
}

void SharedScans::wrote(std::string_view metric_name) {
  MutexLock lock(mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    bool may_hold = true;
    for (const tsdb::Matcher& matcher : at->second.matchers) {
      if (matcher.name() == tsdb::kMetricName && !matcher.matches(metric_name)) may_hold = false;
    }
    if (may_hold) {
      series_count_ -= std::min(series_count_, at->second.set->series().size());
      at = entries_.erase(at);
    } else {
      ++at;
    }
  }
}

std::size_t SharedScans::hit_count() const {
  MutexLock lock(mutex_);
  return hits_;
}

}  // namespace tarsier::alerting
