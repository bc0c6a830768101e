#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"
#include "tsdb/resolution.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

class ChangeLog;

/// What the reader is going to do with a selection, so that storage can skip work. But for
/// `resolution`, never changes the meaning of the result, only its cost.
struct SelectHints {
  TimeRange range;               ///< No sample outside is asked for.
  Duration step{0};              ///< 0 for an instant query.
  Duration window{0};            ///< The range selector's length; 0 for instant selectors.
  std::string function;          ///< The function directly around the selector, or empty.
  std::size_t series_limit = 0;  ///< More are not needed; 0 is no limit.
  ResolutionHints resolution;    ///< How coarse an answer may be. Does change it.
};

/// The series of one selection, by position: 0 <= i < size(), sorted by labels, each label set
/// once. A snapshot: it keeps what it needs alive and sees no later commit. All methods are const
/// and may be called by several threads at once (each with its own outputs), in any order; reading
/// the series in ascending order is cheapest. No per-series object exists until something asks for
/// it.
class SeriesSet {
 public:
  virtual ~SeriesSet() = default;
  virtual std::size_t size() const = 0;
  virtual Labels labels(std::size_t i) const = 0;
  /// One label's value without building the set; empty if absent. The view lives as long as this.
  virtual std::string_view label(std::size_t i, std::string_view name) const = 0;
  /// `labels(i) <=> other`, where an index can tell without building them.
  virtual std::strong_ordering compare(std::size_t i, const Labels& other) const {
    return labels(i) <=> other;
  }
  /// False only if no series has a label of this name. Cheap: an index knows its names.
  virtual bool may_have_label(std::string_view /*name*/) const { return true; }
  /// Appends the series' float samples within `range` (both ends inclusive), stale markers
  /// included, to `out`. On error `out` may hold some of them.
  virtual Status read(std::size_t i, TimeRange range, SampleColumns& out) const = 0;
  /// The newest float sample within `range`, if any (it may be a stale marker): what an instant
  /// selector needs, often without decoding a whole chunk.
  virtual Result<std::optional<Sample>> last_sample(std::size_t i, TimeRange range) const = 0;

  /// Whether the series may hold native histograms. Cheap; asked once per series so that series
  /// without any cost nothing more.
  virtual bool may_have_histograms(std::size_t /*i*/) const { return false; }
  /// Whether any of the series may. Asked once per selection; override it where that is known
  /// without looking at each.
  virtual bool has_histogram_series() const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (may_have_histograms(i)) return true;
    }
    return false;
  }
  /// Whether samples of any series carry start timestamps. Most storage keeps none.
  virtual bool has_start_times() const { return false; }
  /// Appends the start timestamp of each sample read_mixed() gives for the same range, stale
  /// markers included, in milliseconds; 0 where there is none. Asked only if there are some.
  virtual Status read_start_times(std::size_t /*i*/, TimeRange /*range*/,
                                  std::vector<std::int64_t>& /*of_floats*/,
                                  std::vector<std::int64_t>& /*of_histograms*/) const {
    return {};
  }
  /// Appends both kinds of samples within `range`: float samples to `floats`, native histograms to
  /// `histograms`. A time is in one of them only.
  virtual Status read_mixed(std::size_t i, TimeRange range, SampleColumns& floats,
                            HistogramColumns& /*histograms*/) const {
    return read(i, range, floats);
  }
};

/// One of several selections made together.
struct SelectRequest {
  std::vector<Matcher> matchers;
  SelectHints hints;
};

/// A view of storage from the moment it was made on. Any number of threads.
class Querier {
 public:
  virtual ~Querier() = default;
  /// Every series that passes all `matchers` and may have samples in `hints.range`. kCancelled when
  /// `cancel` (may be null) fires meanwhile.
  virtual Result<std::unique_ptr<SeriesSet>> select(const std::vector<Matcher>& matchers,
                                                    const SelectHints& hints,
                                                    const CancelToken* cancel) const = 0;
  /// What select() gives for each request, all of one moment between two commits: an expression
  /// over several selections never sees half a scrape.
  virtual Result<std::vector<std::unique_ptr<SeriesSet>>> select_all(
      const std::vector<SelectRequest>& requests, const CancelToken* cancel) const {
    // Enough for whatever does not change.
    std::vector<std::unique_ptr<SeriesSet>> sets;
    for (const SelectRequest& request : requests) {
      sets.push_back(TRY(select(request.matchers, request.hints, cancel)));
    }
    return sets;
  }
  /// Whether SelectHints::resolution makes a difference to any answer of this view. Where it makes
  /// none, readers with different uses for the same series can share one selection.
  virtual bool heeds_resolution() const { return false; }
  /// Sorted and unique. With no matchers: of all series in the range of the querier.
  virtual Result<std::vector<std::string>> label_names(
      const std::vector<Matcher>& matchers) const = 0;
  virtual Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<Matcher>& matchers) const = 0;
};

/// Whoever can open a view: the database, and in tests a table in memory.
class Queryable {
 public:
  virtual ~Queryable() = default;
  /// A view that promises samples within `range` only.
  virtual Result<std::unique_ptr<Querier>> querier(TimeRange range) = 0;
  /// What changes, for whoever keeps answers; null if the storage cannot tell. Lives as long as
  /// this.
  virtual const ChangeLog* changes() const { return nullptr; }
};

}  // namespace tarsier::tsdb
