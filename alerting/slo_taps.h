#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "alerting/slo_counter.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// Which objectives count which series, and what each series was last seen at. Whether a series is
/// followed is decided once, from its labels; a sample of one then costs an increase and one
/// addition per objective. One thread at a time.
class SloTaps final {
 public:
  /// A followed series. Valid until rebuild().
  struct Id {
    std::uint32_t value = 0;  ///< 0: nobody follows it.
    explicit operator bool() const { return value != 0; }
  };

  /// Follows what these objectives count; they must outlive the next rebuild(). Forgets all series.
  void rebuild(const std::vector<SloCounter*>& counters);
  Id follow(const tsdb::Labels& labels);
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
  std::size_t series_count() const { return series_.size(); }

 private:
  struct Term {
    SloCounter* counter = nullptr;
    std::size_t index = 0;
  };
  struct Tap {
    Term term;
    GroupCounter* group = nullptr;
    SeriesTail tail;
  };
  /// False: the sample was dealt with, it comes too late or again.
  static bool is_next(const Tap& tap, Timestamp t, double value);
  static void count(Tap& tap, Timestamp t, EventCounts events);
  struct Series {
    std::vector<Tap> taps;
  };
  void add_term(Series& series, const Term& term, const tsdb::Labels& labels) const;

  std::vector<SloCounter*> counters_;
  std::unordered_map<std::string, std::vector<Term>> terms_by_name_;
  std::vector<Term> other_terms_;  ///< Of selectors without one name.
  std::vector<Series> series_;     ///< By id - 1.
  std::unordered_map<tsdb::Labels, std::uint32_t> ids_;
};

}  // namespace tarsier::alerting
