#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "query/engine.h"
#include "query/exec/row.h"
#include "query/functions/window.h"
#include "query/parse.h"
#include "query/parse/ast.h"
#include "tsdb/querier.h"

namespace tarsier::query {

/// One selection storage is asked for. Selectors with equal matchers and the same use of rows share
/// it.
struct PlannedSelection {
  std::vector<tsdb::Matcher> matchers;
  tsdb::SelectHints hints;
};

/// Everything about a query that can be known before its data: the tree with durations computed and
/// step-invariant parts wrapped, its times, and what to select. Immutable.
struct Plan {
  std::string text;
  std::shared_ptr<const QueryOrigin> origin;
  bool counts_steps = false;
  bool analyzes = false;
  std::uint64_t series_ceiling = 0;  ///< As asked.
  std::uint64_t samples_ceiling = 0;
  double prepare_seconds = 0;  ///< What parsing and planning took.
  ExprPtr root;
  bool is_range_query = false;
  Grid grid;
  Timestamp start;
  Timestamp end;  ///< As asked: not the last step.
  Duration lookback;
  Duration subquery_step;
  TimeRange data_range;  ///< Of all selections.
  std::vector<PlannedSelection> selections;
  std::unordered_map<const Selector*, std::size_t> selection_of;
  std::unordered_set<const Selector*> statistics_only;  ///< See statistics_selectors.

  /// About how many samples a series is read for, were they a usual interval apart.
  std::size_t samples_per_row() const;
  /// The data times of a grid's steps: shifted by offset, or all the same under `@`.
  Windows windows(const TimeShift& shift, Duration range, const Grid& steps) const;
  /// The steps the inside of a subquery is evaluated at, for all steps outside it.
  Grid subquery_grid(const Subquery& subquery, const Grid& outside) const;
};

/// What the parser accepts for an engine of these options.
ParseOptions parse_options(const EngineOptions& options);

/// kInvalid with the text to show.
Result<std::shared_ptr<Plan>> make_plan(const QueryRequest& request, const EngineOptions& options);

}  // namespace tarsier::query
