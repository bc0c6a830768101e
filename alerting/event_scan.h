#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "alerting/event_counts.h"
#include "alerting/slo.h"
#include "base/cancel.h"
#include "base/result.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

/// What a followed series was last seen at, and so what its next sample adds. A counter's increase
/// belongs to the moment of the later of two samples; a first sample adds nothing, a value below
/// the one before is a reset. Staleness and NaN are nothing.
struct SeriesTail {
  std::int64_t t_ms = 0;
  double value = 0;  ///< Of a histogram: its count of observations.
  double below = 0;  ///< Of a histogram: observations at most at the bound.
  bool is_known = false;
};
/// What a float sample adds by one term. `tail` is what was before it, and is left alone.
EventCounts events_of(const SliTerm& term, const SeriesTail& tail, double value);
/// What a histogram adds after another one.
EventCounts events_between(const SliTerm& term, const SeriesTail& before, const SeriesTail& now);
/// Observations of a native histogram at most at `bound`, interpolated as PromQL does.
double observations_below(const tsdb::FloatHistogram& histogram, double bound);

/// What an indicator counts in a span of time.
struct GroupEvents {
  /// By step from the scan's first on.
  std::vector<EventCounts> events;
  /// Of any sample of its series, also before the scan's first step where one was looked at.
  std::optional<Timestamp> first_sample;
  std::optional<Timestamp> last_sample;
  /// The newest sample of each step that has one, ascending; only if asked for.
  std::vector<Timestamp> sample_times;
};
struct ScannedSeries {
  std::size_t term = 0;  ///< Of the objective.
  tsdb::Labels labels;
  SeriesTail tail;
};
struct EventScan {
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  std::map<tsdb::Labels, GroupEvents> groups;
  std::vector<ScannedSeries> series;
  std::uint64_t samples_read = 0;
};

enum class SampleTimes : unsigned char { kNo, kYes };

/// Counts what happened in the steps from `first_step` to `last_step`, both included, from stored
/// samples alone: the slow and obvious way, for objectives that are new, after a restart, and when
/// samples came too late. A series is read from before the span on, up to a day back, so that its
/// first increase is known.
Result<EventScan> scan_events(const tsdb::Querier& querier, const Slo& slo, StepClock clock,
                              std::int64_t first_step, std::int64_t last_step,
                              const CancelToken* cancel,
                              SampleTimes sample_times = SampleTimes::kNo);
/// What a querier must promise for the scan.
TimeRange scan_range(StepClock clock, std::int64_t first_step, std::int64_t last_step);

/// The group a series is counted for.
inline tsdb::Labels group_of(const Slo& slo, const tsdb::Labels& series) {
  return slo.group_by().empty() ? tsdb::Labels() : series.keep(slo.group_by());
}

}  // namespace tarsier::alerting
