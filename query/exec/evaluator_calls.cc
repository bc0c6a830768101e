#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "base/number_text.h"
#include "query/exec/evaluator.h"
#include "query/exec/histogram_streams.h"
#include "query/exec/info.h"
#include "query/exec/label_functions.h"
#include "query/exec/relabel.h"
#include "query/exec/simple_streams.h"
#include "query/functions/counter_kernels.h"
#include "query/functions/elementwise.h"
#include "query/functions/numbers.h"
#include "query/functions/over_time_kernels.h"
#include "query/functions/regression_kernels.h"

namespace tarsier::query {
namespace {

std::vector<std::string> strings_from(const Call& call, std::size_t first) {
  std::vector<std::string> strings;
  for (std::size_t i = first; i < call.arguments.size(); ++i) {
    strings.push_back(string_of(*call.arguments[i]));
  }
  return strings;
}

/// The kernel of a range function; null if the function takes no range vector.
RangeKernel range_kernel(FunctionId function) {
  switch (function) {
    case FunctionId::kRate: return rate_kernel;
    case FunctionId::kIncrease: return increase_kernel;
    case FunctionId::kDelta: return delta_kernel;
    case FunctionId::kIrate: return irate_kernel;
    case FunctionId::kIdelta: return idelta_kernel;
    case FunctionId::kResets: return resets_kernel;
    case FunctionId::kChanges: return changes_kernel;
    case FunctionId::kDeriv: return deriv_kernel;
    case FunctionId::kPredictLinear: return predict_linear_kernel;
    case FunctionId::kDoubleExponentialSmoothing: return double_exponential_smoothing_kernel;
    case FunctionId::kSumOverTime: return sum_kernel;
    case FunctionId::kAvgOverTime: return avg_kernel;
    case FunctionId::kMinOverTime: return min_kernel;
    case FunctionId::kMaxOverTime: return max_kernel;
    case FunctionId::kCountOverTime: return count_kernel;
    case FunctionId::kPresentOverTime:
    case FunctionId::kAbsentOverTime: return present_kernel;
    case FunctionId::kFirstOverTime: return first_kernel;
    case FunctionId::kLastOverTime: return last_kernel;
    case FunctionId::kTsOfFirstOverTime: return time_of_first_kernel;
    case FunctionId::kTsOfLastOverTime: return time_of_last_kernel;
    case FunctionId::kTsOfMinOverTime: return time_of_min_kernel;
    case FunctionId::kTsOfMaxOverTime: return time_of_max_kernel;
    case FunctionId::kStddevOverTime: return stddev_kernel;
    case FunctionId::kStdvarOverTime: return stdvar_kernel;
    case FunctionId::kQuantileOverTime: return quantile_kernel;
    case FunctionId::kMadOverTime: return mad_kernel;
    default: return nullptr;
  }
}

/// Why a function cannot have an anchored or smoothed selector.
Status unsupported(Extension extension, const FunctionSignature& function) {
  const bool is_anchored = extension == Extension::kAnchored;
  return invalid(fmt::format(
      "{} modifier can only be used with: {} - not with {}", is_anchored ? "anchored" : "smoothed",
      is_anchored ? "changes, delta, increase, rate, resets" : "delta, increase, rate",
      function.name));
}

/// Of double exponential smoothing, a value per step each.
Status check_factors(const std::vector<double>& smoothing, const std::vector<double>& trend) {
  for (std::size_t k = 0; k < smoothing.size(); ++k) {
    if (smoothing[k] <= 0 || smoothing[k] >= 1) {  // NaN passes.
      return invalid(
          fmt::format("invalid smoothing factor. Expected: 0 < sf < 1, got: {:f}", smoothing[k]));
    }
    if (trend[k] <= 0 || trend[k] >= 1) {
      return invalid(
          fmt::format("invalid trend factor. Expected: 0 < tf < 1, got: {:f}", trend[k]));
    }
  }
  return {};
}

/// What absent() knows about the series that is not there: its equality matchers.
tsdb::Labels labels_of_absent(const Expr& argument) {
  const Expr& e = without_parens(argument);
  const Selector* selector = nullptr;
  if (e.kind == ExprKind::kSelector) selector = &as<Selector>(e);
  if (e.kind == ExprKind::kRange) selector = as<Range>(e).selector.get();
  if (e.kind == ExprKind::kStepInvariant) return labels_of_absent(*as<StepInvariant>(e).inner);
  if (selector == nullptr) return {};
  tsdb::LabelsBuilder builder;
  std::vector<std::string_view> seen;
  for (const tsdb::Matcher& matcher : selector->matchers) {
    if (matcher.name() == tsdb::kMetricName) continue;
    const bool is_seen = std::find(seen.begin(), seen.end(), matcher.name()) != seen.end();
    if (matcher.op() == tsdb::MatchOp::kEqual && !is_seen) {
      builder.set(matcher.name(), matcher.value());
      seen.push_back(matcher.name());
    } else {
      builder.remove(matcher.name());
    }
  }
  return builder.build();
}

/// Where annotations about a range function point: to its first argument. A subquery has no place
/// and points to the beginning: that is how Prometheus tells it.
SourceRange annotated_source(const Call& call) {
  const Expr& first = without_parens(*call.arguments[0]);
  const Expr& inner = first.kind == ExprKind::kStepInvariant
                          ? without_parens(*as<StepInvariant>(first).inner)
                          : first;
  return inner.kind == ExprKind::kSubquery ? SourceRange{0, call.source.end} : first.source;
}

/// The place of a quantile, which is looked at when all arguments of the call are there.
SourceRange quantile_source(const Call& call, const Expr& phi) {
  return {without_parens(phi).source.begin, call.source.end};
}

bool is_good_quantile(double phi) { return phi >= 0 && phi <= 1; }

/// Those of `phi`, one per step, whose step has a window with samples. Reads series only to decide
/// about bad ones; the good ones may or may not be among them.
Result<std::vector<double>> used_quantiles(const RangeSource& source,
                                           const std::vector<double>& phi) {
  std::vector<std::size_t> undecided;
  for (std::size_t k = 0; k < phi.size(); ++k) {
    if (!is_good_quantile(phi[k])) undecided.push_back(k);
  }
  std::vector<double> used;
  Scratch scratch;
  for (std::size_t i = 0; i < source.size() && !undecided.empty(); ++i) {
    auto samples = scratch.columns();
    TRY(source.read(i, *samples, scratch));
    WindowBounds bounds;
    std::erase_if(undecided, [&](std::size_t k) {
      bounds.move_to(Column{samples->times_ms, samples->values}, source.windows(), k);
      if (bounds.size() == 0) return false;
      used.push_back(phi[k]);
      return true;
    });
  }
  return used;
}

}  // namespace

Result<StreamPtr> Evaluator::single_row(const Grid& grid, tsdb::Labels labels,
                                        std::vector<double> row) {
  return TRY(Table::create(context_, grid, {{std::move(labels), false}}, std::move(row)));
}

Result<StreamPtr> Evaluator::call(const Call& call, const Grid& grid) {
  const FunctionId id = call.function.id;
  if (element_kernel(id) != nullptr) return element_call(call, grid);
  if (id == FunctionId::kAbsentOverTime || id == FunctionId::kAbsent) {
    return absent_call(call, grid);
  }
  if (range_kernel(id) != nullptr) return range_call(call, grid);
  const auto argument = [&](std::size_t i) { return vector(*call.arguments[i], grid); };
  switch (id) {
    case FunctionId::kVector: {
      std::vector<double> row = TRY(scalar(*call.arguments[0], grid));
      return single_row(grid, {}, std::move(row));
    }
    case FunctionId::kTimestamp: return timestamp_call(call, grid);
    case FunctionId::kHistogramQuantile:
    case FunctionId::kHistogramFraction: return histogram_call(call, grid);
    case FunctionId::kHistogramQuantiles: return histogram_quantiles_call(call, grid);
    case FunctionId::kHistogramAvg:
    case FunctionId::kHistogramCount:
    case FunctionId::kHistogramSum:
    case FunctionId::kHistogramStddev:
    case FunctionId::kHistogramStdvar: return histogram_number_call(call, grid);
    case FunctionId::kStartTimestamp: return start_timestamp_call(call, grid);
    case FunctionId::kLabelReplace: {
      const std::vector<std::string> s = strings_from(call, 1);
      StreamPtr operand = TRY(argument(0));
      return label_replace(context_, std::move(operand), LabelReplacement{s[0], s[1], s[2], s[3]});
    }
    case FunctionId::kLabelJoin:
      return label_join(context_, TRY(argument(0)), string_of(*call.arguments[1]),
                        string_of(*call.arguments[2]), strings_from(call, 3));
    case FunctionId::kInfo: return info_call(call, grid);
    case FunctionId::kSort:
    case FunctionId::kSortDesc:
    case FunctionId::kSortByLabel:
    case FunctionId::kSortByLabelDesc: return sort_call(call, grid);
    default: break;
  }
  return invalid(fmt::format("function \"{}\" is not supported", call.function.name));
}

Result<StreamPtr> Evaluator::element_call(const Call& call, const Grid& grid) {
  const ElementKernel kernel = element_kernel(call.function.id);
  if (call.arguments.empty()) {  // A date function of the step's own time.
    std::vector<double> row(grid.count);
    for (std::size_t k = 0; k < grid.count; ++k) {
      row[k] = static_cast<double>(grid.time_ms(k)) / 1000;
    }
    kernel(row.data(), grid.count, nullptr, nullptr);
    return single_row(grid, {}, std::move(row));
  }
  StreamPtr operand = only_floats(TRY(vector(*call.arguments[0], grid)));
  std::vector<double> first;
  std::vector<double> second;
  if (call.arguments.size() > 1) first = TRY(scalar(*call.arguments[1], grid));
  if (call.arguments.size() > 2) second = TRY(scalar(*call.arguments[2], grid));
  return drop_names(
      context_, apply_to_elements(std::move(operand), kernel, std::move(first), std::move(second)),
      OnEqual::kMerge);
}

Result<StreamPtr> Evaluator::range_call(const Call& call, const Grid& grid) {
  const FunctionId id = call.function.id;
  std::vector<double> scalars[2];
  std::size_t scalar_count = 0;
  const Expr* range = nullptr;
  const Expr* first_scalar = nullptr;
  for (const ExprPtr& argument : call.arguments) {
    if (argument->type == ValueType::kMatrix) {
      range = argument.get();
    } else {
      if (first_scalar == nullptr) first_scalar = argument.get();
      scalars[scalar_count++] = TRY(scalar(*argument, grid));
    }
  }
  RangePtr source = TRY(matrix(*range, grid));
  const Extension extension = source->extension();
  const RangeFunction function{
      extension == Extension::kNone ? range_kernel(id) : extended_kernel(extension, id),
      mixed_kernel(id, extension), gives_histograms(id),
      extension == Extension::kNone && uses_start_times(id)};
  if (function.kernel == nullptr) return unsupported(extension, call.function);
  StreamPtr stream;
  if (id == FunctionId::kRate || id == FunctionId::kIncrease) {
    stream = apply_counter_kernel(context_, std::move(source), function, annotated_source(call));
  } else {
    if (id == FunctionId::kQuantileOverTime) {
      warn_of_bad_quantiles(TRY(used_quantiles(*source, scalars[0])),
                            quantile_source(call, *first_scalar));
    }
    if (id == FunctionId::kDoubleExponentialSmoothing && source->size() > 0) {
      TRY(check_factors(scalars[0], scalars[1]));
    }
    stream = apply_kernel(context_, std::move(source), function, annotated_source(call),
                          std::move(scalars[0]), std::move(scalars[1]));
  }
  if (id == FunctionId::kLastOverTime || id == FunctionId::kFirstOverTime) return stream;
  return drop_names(context_, std::move(stream), OnEqual::kRefuse);
}

Result<StreamPtr> Evaluator::timestamp_call(const Call& call, const Grid& grid) {
  const Expr& argument = without_parens(*call.arguments[0]);
  const Expr& inner = argument.kind == ExprKind::kStepInvariant
                          ? without_parens(*as<StepInvariant>(argument).inner)
                          : argument;
  StreamPtr stream;
  if (inner.kind == ExprKind::kSelector) {
    stream = TRY(selector(as<Selector>(inner), grid, SampleAspect::kTime));
  } else {
    stream = TRY(vector(argument, grid));
    stream = step_times(std::move(stream));
  }
  return drop_names(context_, std::move(stream), OnEqual::kMerge);
}

Result<StreamPtr> Evaluator::start_timestamp_call(const Call& call, const Grid& grid) {
  const Expr& argument = without_parens(*call.arguments[0]);
  const Expr& inner = argument.kind == ExprKind::kStepInvariant
                          ? without_parens(*as<StepInvariant>(argument).inner)
                          : argument;
  if (!context_.options.start_timestamps || inner.kind != ExprKind::kSelector) {
    TRY(vector(argument, grid));
    return no_series(grid);
  }
  StreamPtr starts = TRY(selector(as<Selector>(inner), grid, SampleAspect::kStartTime));
  return drop_names(context_, std::move(starts), OnEqual::kMerge);
}

Result<StreamPtr> Evaluator::absent_call(const Call& call, const Grid& grid) {
  const Expr& argument = *call.arguments[0];
  const StreamPtr stream =
      call.function.id == FunctionId::kAbsent
          ? TRY(vector(argument, grid))
          : apply_kernel(context_, TRY(matrix(argument, grid)),
                         {range_kernel(call.function.id),
                          mixed_kernel(call.function.id, Extension::kNone), false},
                         argument.source);
  std::vector<double> row(grid.count, 1);
  Mutex mutex;
  TRY(for_each_batch(context_, *stream,
                     [&](std::size_t, std::size_t, std::size_t count, const double* rows) {
                       const MutexLock lock(mutex);
                       for (std::size_t i = 0; i < count * grid.count; ++i) {
                         if (is_present(rows[i])) row[i % grid.count] = absent_value();
                       }
                       return Status();
                     }));
  return single_row(grid, labels_of_absent(argument), std::move(row));
}

Result<StreamPtr> Evaluator::info_call(const Call& call, const Grid& grid) {
  StreamPtr base = TRY(vector(*call.arguments[0], grid));
  const auto& labels = as<Selector>(*call.arguments[1]);  // Complete since planning.
  StreamPtr info = TRY(selector(labels, grid, SampleAspect::kTimeOfFloat));
  return enrich_with_info(context_, std::move(base), std::move(info), labels.matchers);
}

Result<StreamPtr> Evaluator::sort_call(const Call& call, const Grid& grid) {
  StreamPtr stream = TRY(vector(*call.arguments[0], grid));
  const bool is_by_value =
      call.function.id == FunctionId::kSort || call.function.id == FunctionId::kSortDesc;
  if (is_by_value) stream = only_floats(std::move(stream));
  // An order per step is nothing anybody can see; subqueries count as range queries here.
  if (grid.count > 1) {
    context_.annotator.warn(
        "sort is ineffective for range queries since results are always ordered by labels",
        call.source);
  }
  if (grid.count != 1 || plan_.is_range_query) return stream;
  switch (call.function.id) {
    case FunctionId::kSort:
    case FunctionId::kSortDesc:
      return sort_by_value(
          context_, std::move(stream),
          call.function.id == FunctionId::kSort ? Direction::kAscending : Direction::kDescending);
    default:
      return sort_by_labels(context_, std::move(stream), strings_from(call, 1),
                            call.function.id == FunctionId::kSortByLabel ? Direction::kAscending
                                                                         : Direction::kDescending);
  }
}

}  // namespace tarsier::query
