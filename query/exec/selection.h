#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "query/functions/window.h"
#include "query/plan/plan.h"
#include "tsdb/querier.h"

namespace tarsier::query {

/// One selection's series, opened once however many selectors use it.
struct Selection {
  std::unique_ptr<tsdb::SeriesSet> set;
  bool names_metric = false;  ///< The matchers ask for one metric name.
  bool may_have_histograms = false;

  /// All series have the same metric name and no other metadata label.
  bool has_one_name() const;
};

/// The storage side of a running query: opens all selections together when the first is needed, so
/// that they show one moment. Used by the one thread that builds the query's nodes.
class Selections final {
 public:
  Selections(Context& context, const Plan& plan, tsdb::Queryable& storage)
      : context_(context), plan_(plan), storage_(storage) {}
  /// Lives as long as this.
  Result<const Selection*> of(const Selector& selector);

 private:
  Status open_all();

  Context& context_;
  const Plan& plan_;
  tsdb::Queryable& storage_;
  std::unique_ptr<tsdb::Querier> querier_;  // Null until something was needed.
  std::vector<Selection> open_;
  std::vector<std::size_t> place_;  // In open_ of each of the plan's.
};

/// What an instant selector gives for the sample it found.
enum class SampleAspect : unsigned char {
  kValue,
  kTime,
  kTimeOfFloat,  ///< Histograms stay what they are.
  kStartTime,    ///< 0 where there is none.
};
/// What of histograms is needed.
enum class HistogramDetail : unsigned char {
  kAll,
  kStatistics,  ///< No buckets; see keep_statistics.
};

/// Each series' newest sample no older than the lookback, at every step. `ends` holds the data
/// times.
StreamPtr select_instant(Context& context, const Selection& selection, Grid grid,
                         const Windows& ends, SampleAspect aspect,
                         HistogramDetail detail = HistogramDetail::kAll);

}  // namespace tarsier::query
