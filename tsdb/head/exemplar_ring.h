#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/exemplar.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// The newest exemplars of all series together, a bounded number: a new one takes the place of the
/// oldest. Those of a series are in time order, chained through the ring. Series are known by their
/// labels, so exemplars outlive their series in the head. Any number of threads; its lock is a
/// leaf.
class ExemplarRing final {
 public:
  /// Holds `capacity` exemplars; 0: none are stored.
  explicit ExemplarRing(std::size_t capacity) : capacity_(capacity) {}

  bool is_enabled() const EXCLUDES_LOCK(mutex_);
  /// What add() would say: kAppended; kIgnored for the series' newest again, or when none are
  /// stored; kOutOfOrder when older than that; kInvalid for labels that are too long.
  AppendOutcome judge(const Labels& series, const Exemplar& exemplar) const EXCLUDES_LOCK(mutex_);
  AppendOutcome add(const Labels& series, Exemplar exemplar) EXCLUDES_LOCK(mutex_);
  /// Keeps the newest that fit.
  void set_capacity(std::size_t capacity) EXCLUDES_LOCK(mutex_);

  /// The exemplars in `range` (both ends inclusive) of the series that pass all matchers of one of
  /// `selectors`, by series labels and time.
  std::vector<SeriesExemplars> select(const std::vector<std::vector<Matcher>>& selectors,
                                      TimeRange range) const EXCLUDES_LOCK(mutex_);
  void collect(MetricWriter& out) const EXCLUDES_LOCK(mutex_);

 private:
  static constexpr std::size_t kNone = SIZE_MAX;

  struct Chain {
    std::size_t oldest = kNone;
    std::size_t newest = kNone;
  };
  using Chains = std::map<Labels, Chain>;
  struct Entry {
    Exemplar exemplar;
    std::size_t next = kNone;  // Of the same series.
    Chains::iterator series;
  };

  AppendOutcome judge_after(const Exemplar& newest, const Exemplar& exemplar) const;
  AppendOutcome add_locked(const Labels& series, Exemplar exemplar) REQUIRES_LOCK(mutex_);
  void remove_at(std::size_t at) REQUIRES_LOCK(mutex_);

  mutable Mutex mutex_;
  std::size_t capacity_ GUARDED_BY(mutex_);
  std::vector<Entry> entries_ GUARDED_BY(mutex_);  // Grows up to the capacity.
  std::size_t next_ GUARDED_BY(mutex_) = 0;        // Whose place the next one takes.
  Chains chains_ GUARDED_BY(mutex_);
  std::uint64_t appended_count_ GUARDED_BY(mutex_) = 0;
  mutable std::uint64_t out_of_order_count_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tarsier::tsdb
