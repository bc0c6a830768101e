#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "alerting/event_history.h"
#include "alerting/followed_refs.h"
#include "alerting/slo_counter.h"
#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/wal_follower.h"

namespace tarsier::alerting {

/// Which objectives count which series, and what each series was last seen at. Whether a series is
/// followed is decided once, from its labels; a sample of one then costs an increase and one
/// addition per objective. One thread at a time.
class SloTaps final {
 public:
  /// A followed series. Valid until rebuild().
  struct Id {
    std::uint32_t value = 0;  ///< 0: nobody follows it. Else its first tap, counted from 1.
    explicit operator bool() const { return value != 0; }
  };

  /// Follows what these objectives count; they must outlive the next rebuild(). Forgets all series.
  void rebuild(const std::vector<SloCounter*>& counters);
  Id follow(const tsdb::Labels& labels);
  /// A stretch of the log, of one follower since rebuild().
  void take(const tsdb::FollowedBatch& batch);
  /// One sample. What comes out of order, or after its step was put away, has the objective count
  /// anew.
  void add(Id series, Timestamp t, double value);
  /// The same of a native histogram.
  void add_histogram(Id series, Timestamp t, const tsdb::FloatHistogram& histogram);
  /// Whether a sample of that time comes after what was seen of the series.
  bool is_new(Id series, Timestamp t) const;
  /// After a recount: samples up to the tails are counted.
  void adopt(SloCounter& counter, const std::vector<ScannedSeries>& scanned);

  /// The selectors of everything followed, for whoever delivers samples.
  std::vector<std::vector<tsdb::Matcher>> selectors() const;
  std::size_t series_count() const { return ids_.size(); }

 private:
  struct Term {
    SloCounter* counter = nullptr;
    std::size_t index = 0;
  };
  /// What one term makes of one series: a cache line, with what a counter's sample needs.
  struct alignas(64) Tap {
    std::int64_t t_ms = 0;
    double value = 0;
    /// Of a histogram: observations at most at the bound. Of a comparison: the bound.
    double extra = 0;
    double bad_weight = 0;
    double total_weight = 0;
    GroupCounter* group = nullptr;
    SloCounter* counter = nullptr;
    std::uint32_t term = 0;
    SliMeasure measure = SliMeasure::kCounter;
    bool is_known = false;
    bool is_last = false;  ///< Of its series.
  };
  static_assert(sizeof(Tap) == 64);
  struct HashOfKey {
    std::size_t operator()(const HistoryKey& key) const noexcept;
  };

  void take_samples(const std::vector<tsdb::FollowedSample>& samples);
  /// False: the sample was dealt with, it comes too late or again.
  static bool is_next(const Tap& tap, Timestamp t, double value);
  static void count(const Tap& tap, Timestamp t, EventCounts events);
  static EventCounts events_of_sample(const Tap& tap, double value);
  void index_terms();
  void add_term(std::vector<Tap>& taps, const Term& term, const tsdb::Labels& labels) const;

  std::vector<SloCounter*> counters_;
  std::unordered_map<std::string, std::vector<Term>> terms_by_name_;
  /// Of these, those that pin another label, too: by the rarest of what they pin, so that a series
  /// is compared with the few that may want it, however many objectives share a metric.
  std::unordered_map<std::string, std::vector<Term>> terms_by_label_;
  std::unordered_map<std::string, std::vector<Term>> unpinned_terms_;  ///< By name; the rest.
  std::vector<Term> other_terms_;  ///< Of selectors without one name.
  std::vector<Tap> taps_;          ///< Those of one series beside each other.
  /// By a digest of the labels, which are many bytes.
  std::unordered_map<HistoryKey, std::uint32_t, HashOfKey> ids_;
  FollowedRefs refs_;
};

}  // namespace tarsier::alerting
