#include "query/plan/plan.h"

#include <algorithm>

#include "query/parse.h"
#include "query/parse/duration.h"
#include "query/plan/fold_constants.h"
#include "query/plan/histogram_statistics.h"
#include "query/plan/info_selector.h"
#include "query/plan/push_matchers.h"
#include "query/plan/resolution_choice.h"
#include "query/plan/step_invariant.h"

namespace tarsier::query {
namespace {

/// Collects what the tree selects and over which times.
class SelectionPlanner final {
 public:
  SelectionPlanner(Plan& plan, const ResolutionWish& wish) : plan_(plan), wish_(wish) {}

  void visit(const Expr& e, const Grid& grid, std::string_view function) {
    switch (e.kind) {
      case ExprKind::kSelector: {
        const auto& selector = as<Selector>(e);
        add(selector, grid, plan_.lookback, function);
        return;
      }
      case ExprKind::kRange: {
        const auto& range = as<Range>(e);
        add(*range.selector, grid, range.range.constant, function, range.range.constant);
        return;
      }
      case ExprKind::kSubquery: {
        const auto& subquery = as<Subquery>(e);
        visit(*subquery.inner, plan_.subquery_grid(subquery, grid), "");
        return;
      }
      case ExprKind::kStepInvariant:
        visit(*as<StepInvariant>(e).inner,
              Grid{grid.start_ms, 0, std::min<std::size_t>(grid.count, 1)}, function);
        return;
      case ExprKind::kParen: visit(*as<Paren>(e).inner, grid, function); return;
      default: break;
    }
    if (e.kind == ExprKind::kCall) function = as<Call>(e).function.name;
    if (e.kind == ExprKind::kAggregate) function = text_of(as<Aggregate>(e).op);
    if (e.kind == ExprKind::kBinary || e.kind == ExprKind::kUnary) function = "";
    for (const Expr* child : children_of(e)) visit(*child, grid, function);
  }

 private:
  /// Samples in (first data time - reach, last data time] are read.
  void add(const Selector& selector, const Grid& grid, Duration reach, std::string_view function,
           Duration window = {}) {
    const Windows windows = plan_.windows(selector.shift, reach, grid);
    TimeRange range{Timestamp{windows.start_ms(0)} + milliseconds(1),
                    Timestamp{windows.end_ms(grid.count == 0 ? 0 : grid.count - 1)}};
    if (selector.anchored || selector.smoothed) {
      range.min = range.min - plan_.lookback;
      if (selector.smoothed) range.max = range.max + plan_.lookback;
    }
    const tsdb::ResolutionHints resolution = choose_resolution(
        wish_,
        {function, window, windows, plan_.is_range_query, selector.anchored || selector.smoothed});
    const std::size_t position = position_of(selector.matchers, resolution);
    plan_.selection_of[&selector] = position;
    tsdb::SelectHints& hints = plan_.selections[position].hints;
    hints.range.min = std::min(hints.range.min, range.min);
    hints.range.max = std::max(hints.range.max, range.max);
    plan_.data_range.min = std::min(plan_.data_range.min, range.min);
    plan_.data_range.max = std::max(plan_.data_range.max, range.max);
    // Hints about the use of samples hold for all users of a selection, or are not given.
    hints.resolution = is_new_ ? resolution : common_hints(hints.resolution, resolution);
    if (is_new_) {
      hints.step = milliseconds(grid.step_ms);
      hints.window = window;
      hints.function = function;
    } else if (hints.function != function || hints.window != window) {
      hints.step = {};
      hints.window = {};
      hints.function.clear();
    }
  }

  /// Rows are read as one thing only.
  std::size_t position_of(const std::vector<tsdb::Matcher>& matchers,
                          const tsdb::ResolutionHints& resolution) {
    for (std::size_t i = 0; i < plan_.selections.size(); ++i) {
      const PlannedSelection& known = plan_.selections[i];
      if (known.matchers == matchers && known.hints.resolution.use == resolution.use) {
        is_new_ = false;
        return i;
      }
    }
    is_new_ = true;
    PlannedSelection selection;
    selection.matchers = matchers;
    selection.hints.range = {kMaxTimestamp, kMinTimestamp};
    plan_.selections.push_back(std::move(selection));
    return plan_.selections.size() - 1;
  }

  Plan& plan_;
  const ResolutionWish wish_;
  bool is_new_ = false;
};

Grid query_grid(Timestamp start, Timestamp end, Duration step) {
  if (step.ms <= 0) return Grid{start.ms, 0, 1};
  if (end < start) return Grid{start.ms, step.ms, 0};
  return Grid{start.ms, step.ms, static_cast<std::size_t>((end - start).ms / step.ms) + 1};
}

}  // namespace

Windows Plan::windows(const TimeShift& shift, Duration range, const Grid& steps) const {
  Windows w;
  w.range_ms = range.ms;
  w.count = steps.count;
  switch (shift.at.anchor) {
    case AtModifier::Anchor::kNone:
      w.first_end_ms = steps.start_ms;
      w.stride_ms = steps.step_ms;
      break;
    case AtModifier::Anchor::kTime: w.first_end_ms = shift.at.time.ms; break;
    case AtModifier::Anchor::kStart: w.first_end_ms = start.ms; break;
    case AtModifier::Anchor::kEnd: w.first_end_ms = end.ms; break;
  }
  w.first_end_ms = (Timestamp{w.first_end_ms} - shift.offset.constant).ms;
  return w;
}

Grid Plan::subquery_grid(const Subquery& subquery, const Grid& outside) const {
  const Duration range = subquery.range.constant;
  const Windows windows_outside = windows(subquery.shift, range, outside);
  std::int64_t step = subquery.has_step ? subquery.step.constant.ms : subquery_step.ms;
  if (step <= 0) step = std::max<std::int64_t>(1, subquery_step.ms);
  const std::int64_t before = windows_outside.start_ms(0);
  const std::int64_t last = windows_outside.end_ms(outside.count == 0 ? 0 : outside.count - 1);
  std::int64_t first = before / step * step;
  if (first <= before) first += step;
  if (outside.count == 0 || first > last) return Grid{first, step, 0};
  return Grid{first, step, static_cast<std::size_t>((last - first) / step) + 1};
}

std::size_t Plan::samples_per_row() const {
  constexpr std::int64_t kUsualIntervalMs = 15'000;
  std::int64_t longest_ms = 0;
  for (const PlannedSelection& selection : selections) {
    const tsdb::SelectHints& hints = selection.hints;
    longest_ms = std::max(longest_ms, (hints.range.max - hints.range.min).ms);
  }
  // One look-up finds the sample of an instant.
  if (grid.count == 1 && longest_ms <= lookback.ms) return 1;
  return 1 + static_cast<std::size_t>(longest_ms / kUsualIntervalMs);
}

ParseOptions parse_options(const EngineOptions& options) {
  ParseOptions parse;
  parse.experimental_functions = options.experimental_functions;
  parse.extended_range_selectors = options.extended_range_selectors;
  parse.fill_modifiers = options.binary_fill_modifiers;
  return parse;
}

Result<std::shared_ptr<Plan>> make_plan(const QueryRequest& request, const EngineOptions& options) {
  auto plan = std::make_shared<Plan>();
  plan->text = request.text;
  plan->origin = request.origin;
  plan->counts_steps = request.counts_steps;
  plan->analyzes = request.analyzes;
  plan->series_ceiling = request.series_ceiling;
  plan->samples_ceiling = request.samples_ceiling;
  plan->root = TRY(parse_expression(request.text, parse_options(options)));
  plan->is_range_query = request.step.ms > 0;
  if (plan->is_range_query && plan->root->type != ValueType::kScalar &&
      plan->root->type != ValueType::kVector) {
    return invalid("invalid expression type \"" + std::string(documented_name(plan->root->type)) +
                   "\" for range query, must be Scalar or instant Vector");
  }
  // Far beyond any sample, and far enough from the ends of the type for ranges and offsets to be
  // added.
  const auto within_reason = [](Timestamp t) {
    constexpr std::int64_t kFarMs = std::int64_t{1} << 61;
    return Timestamp{std::clamp(t.ms, -kFarMs, kFarMs)};
  };
  plan->start = within_reason(request.start);
  plan->end = plan->is_range_query ? within_reason(request.end) : plan->start;
  plan->grid = query_grid(plan->start, plan->end, request.step);
  plan->lookback = request.lookback_delta.ms > 0 ? request.lookback_delta : options.lookback_delta;
  plan->subquery_step = options.subquery_step;
  TRY(resolve_durations(
      *plan->root,
      DurationContext{plan->is_range_query ? request.step : Duration{}, plan->end - plan->start}));
  TRY(complete_info_selectors(*plan->root));
  plan->root = fold_constants(std::move(plan->root));
  push_matchers(*plan->root);
  plan->root = wrap_step_invariants(std::move(plan->root));
  plan->statistics_only = statistics_selectors(*plan->root);
  plan->data_range = {kMaxTimestamp, kMinTimestamp};
  SelectionPlanner(*plan, request.resolution).visit(*plan->root, plan->grid, "");
  return plan;
}

}  // namespace tarsier::query
