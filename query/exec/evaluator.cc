#include "query/exec/evaluator.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "query/exec/aggregate.h"
#include "query/exec/analysis.h"
#include "query/exec/binary_kernels.h"
#include "query/exec/cell_operator.h"
#include "query/exec/histogram_streams.h"
#include "query/exec/join.h"
#include "query/exec/relabel.h"
#include "query/functions/numbers.h"

namespace tarsier::query {
namespace {

Grid first_step(const Grid& grid) {
  return Grid{grid.start_ms, 0, std::min<std::size_t>(grid.count, 1)};
}

/// A vector and a row of scalars, the same for all series.
class ScalarOperandStream final : public ForwardingStream {
 public:
  enum class Side : unsigned char { kLeft, kRight };
  ScalarOperandStream(StreamPtr child, BinaryKernel kernel, std::vector<double> scalars, Side side)
      : ForwardingStream(std::move(child)),
        kernel_(kernel),
        scalars_(std::move(scalars)),
        side_(side) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(child().read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      double* const row = rows + i * grid().count;
      if (side_ == Side::kLeft) {
        kernel_(scalars_.data(), row, grid().count, row);
      } else {
        kernel_(row, scalars_.data(), grid().count, row);
      }
    }
    return {};
  }

 private:
  const BinaryKernel kernel_;
  const std::vector<double> scalars_;
  const Side side_;
};

/// The same where the vector may have histograms.
class ScalarOperandCellStream final : public ForwardingStream {
 public:
  using Side = ScalarOperandStream::Side;
  ScalarOperandCellStream(Context& context, StreamPtr child, const Binary& binary,
                          Comparison comparison, std::vector<double> scalars, Side side)
      : ForwardingStream(std::move(child)),
        operator_(context, binary, comparison),
        scalars_(std::move(scalars)),
        side_(side) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(child().read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      for (std::size_t k = 0; k < grid().count; ++k) {
        double& cell = rows[i * grid().count + k];
        if (is_absent(cell)) continue;
        const double left = side_ == Side::kLeft ? scalars_[k] : cell;
        const double right = side_ == Side::kLeft ? cell : scalars_[k];
        cell = operator_.apply(left, right, {k, series[i]}, scratch.histograms()).cell;
      }
    }
    return {};
  }

 private:
  mutable CellOperator operator_;  // Locks itself.
  const std::vector<double> scalars_;
  const Side side_;
};

}  // namespace

Result<StreamPtr> Evaluator::vector(const Expr& e, const Grid& grid) {
  TRY(context_.check_alive());
  if (context_.analysis == nullptr) return operator_of(e, grid);
  OperatorFigures& figures = context_.analysis->of(e);
  const OperatorTimer timer(context_, figures);
  StreamPtr stream = TRY(operator_of(e, grid));
  return measured(context_, figures, std::move(stream));
}

Result<StreamPtr> Evaluator::operator_of(const Expr& e, const Grid& grid) {
  switch (e.kind) {
    case ExprKind::kParen: return vector(*as<Paren>(e).inner, grid);
    case ExprKind::kStepInvariant: {
      StreamPtr once = TRY(vector(*as<StepInvariant>(e).inner, first_step(grid)));
      return grid.count == 1 ? std::move(once) : broadcast(std::move(once), grid);
    }
    case ExprKind::kSelector: return selector(as<Selector>(e), grid, SampleAspect::kValue);
    case ExprKind::kUnary: return unary_minus(as<Unary>(e), grid);
    case ExprKind::kBinary: return binary(as<Binary>(e), grid);
    case ExprKind::kAggregate: return aggregation(as<Aggregate>(e), grid);
    case ExprKind::kCall: return call(as<Call>(e), grid);
    default: break;
  }
  CHECK(false, "not an instant vector");
  return invalid("not an instant vector");
}

Result<std::vector<double>> Evaluator::scalar(const Expr& e, const Grid& grid) {
  switch (e.kind) {
    case ExprKind::kParen: return scalar(*as<Paren>(e).inner, grid);
    case ExprKind::kStepInvariant: {
      const std::vector<double> once = TRY(scalar(*as<StepInvariant>(e).inner, first_step(grid)));
      return std::vector<double>(grid.count, once.empty() ? normal_nan() : once.front());
    }
    case ExprKind::kNumber: return std::vector<double>(grid.count, as<Number>(e).value);
    case ExprKind::kUnary: {
      const auto& unary = as<Unary>(e);
      std::vector<double> row = TRY(scalar(*unary.operand, grid));
      if (unary.op == UnaryOp::kMinus) {
        for (double& v : row) v = -v;
      }
      return row;
    }
    case ExprKind::kBinary: return binary_of_scalars(as<Binary>(e), grid);
    case ExprKind::kCall: return scalar_call(as<Call>(e), grid);
    default: break;
  }
  CHECK(false, "not a scalar");
  return invalid("not a scalar");
}

Result<RangePtr> Evaluator::matrix(const Expr& e, const Grid& grid) {
  if (context_.analysis == nullptr) return range_of(e, grid);
  OperatorFigures& figures = context_.analysis->of(e);
  const OperatorTimer timer(context_, figures);
  RangePtr source = TRY(range_of(e, grid));
  return measured(context_, figures, std::move(source));
}

Result<RangePtr> Evaluator::range_of(const Expr& e, const Grid& grid) {
  switch (e.kind) {
    case ExprKind::kParen: return matrix(*as<Paren>(e).inner, grid);
    case ExprKind::kStepInvariant: return matrix(*as<StepInvariant>(e).inner, grid);
    case ExprKind::kRange: {
      const auto& range = as<Range>(e);
      const Selection* const selection = TRY(selections_.of(*range.selector));
      Windows windows = plan_.windows(range.selector->shift, range.range.constant, grid);
      const Extension extension = range.selector->anchored   ? Extension::kAnchored
                                  : range.selector->smoothed ? Extension::kSmoothed
                                                             : Extension::kNone;
      if (extension != Extension::kNone) windows.before_ms = plan_.lookback.ms;
      if (extension == Extension::kSmoothed) windows.after_ms = plan_.lookback.ms;
      return select_range(context_, *selection, grid, windows, extension, detail(*range.selector));
    }
    case ExprKind::kSubquery: {
      const auto& subquery = as<Subquery>(e);
      const Grid inside = plan_.subquery_grid(subquery, grid);
      TRY(context_.check_dense(1, inside.count));
      StreamPtr inner = TRY(vector(*subquery.inner, inside));
      return subquery_range(context_, std::move(inner), grid,
                            plan_.windows(subquery.shift, subquery.range.constant, grid));
    }
    default: break;
  }
  CHECK(false, "not a range vector");
  return invalid("not a range vector");
}

HistogramDetail Evaluator::detail(const Selector& selector) const {
  return plan_.statistics_only.contains(&selector) ? HistogramDetail::kStatistics
                                                   : HistogramDetail::kAll;
}

Result<StreamPtr> Evaluator::selector(const Selector& selector, const Grid& grid,
                                      SampleAspect aspect) {
  const Selection* const selection = TRY(selections_.of(selector));
  Windows windows = plan_.windows(selector.shift, plan_.lookback, grid);
  if (selector.smoothed && aspect == SampleAspect::kValue) {
    windows.after_ms = plan_.lookback.ms;
    return apply_kernel(
        context_,
        select_range(context_, *selection, grid, windows, Extension::kNone, detail(selector)),
        {smoothed_instant_kernel, mixed_smoothed_instant_kernel, true}, selector.source);
  }
  return select_instant(context_, *selection, grid, windows, aspect, detail(selector));
}

Result<StreamPtr> Evaluator::unary_minus(const Unary& unary, const Grid& grid) {
  StreamPtr operand = TRY(vector(*unary.operand, grid));
  if (unary.op == UnaryOp::kPlus) return operand;
  return drop_names(context_, negated(std::move(operand)), OnEqual::kMerge);
}

Result<StreamPtr> Evaluator::binary(const Binary& binary, const Grid& grid) {
  if (binary.left->type == ValueType::kScalar || binary.right->type == ValueType::kScalar) {
    return binary_with_scalar(binary, grid);
  }
  StreamPtr left = TRY(vector(*binary.left, grid));
  StreamPtr right = TRY(vector(*binary.right, grid));
  if (is_set_operator(binary.op)) {
    return combine_sets(context_, binary, std::move(left), std::move(right));
  }
  return join(context_, binary, std::move(left), std::move(right));
}

Result<StreamPtr> Evaluator::binary_with_scalar(const Binary& binary, const Grid& grid) {
  using Side = ScalarOperandStream::Side;
  const Side side = binary.left->type == ValueType::kScalar ? Side::kLeft : Side::kRight;
  const bool scalar_is_left = side == Side::kLeft;
  std::vector<double> scalars = TRY(scalar(scalar_is_left ? *binary.left : *binary.right, grid));
  StreamPtr operand = TRY(vector(scalar_is_left ? *binary.right : *binary.left, grid));
  const Comparison comparison = binary.return_bool ? Comparison::kBool
                                : scalar_is_left   ? Comparison::kKeepRight
                                                   : Comparison::kKeepLeft;
  StreamPtr result;
  if (needs_cells(binary.op, operand->may_have_histograms())) {
    result = std::make_unique<ScalarOperandCellStream>(context_, std::move(operand), binary,
                                                       comparison, std::move(scalars), side);
  } else {
    result = std::make_unique<ScalarOperandStream>(
        std::move(operand), binary_kernel(binary.op, comparison), std::move(scalars), side);
  }
  const bool keeps_names = is_trim(binary.op) || (is_comparison(binary.op) && !binary.return_bool);
  if (keeps_names) return result;
  return drop_names(context_, std::move(result), OnEqual::kMerge);
}

Result<std::vector<double>> Evaluator::binary_of_scalars(const Binary& binary, const Grid& grid) {
  std::vector<double> left = TRY(scalar(*binary.left, grid));
  const std::vector<double> right = TRY(scalar(*binary.right, grid));
  if (is_trim(binary.op)) {
    return invalid(
        fmt::format("operator \"{}\" not allowed for Scalar operations", text_of(binary.op)));
  }
  binary_kernel(binary.op, Comparison::kBool)(left.data(), right.data(), grid.count, left.data());
  return left;
}

Result<StreamPtr> Evaluator::aggregation(const Aggregate& aggregate, const Grid& grid) {
  if (aggregate.op == AggregateOp::kCountValues) {
    StreamPtr operand = TRY(vector(*aggregate.operand, grid));
    return count_values(context_, aggregate, std::move(operand), string_of(*aggregate.parameter));
  }
  std::vector<double> parameter;
  if (aggregate.parameter != nullptr) parameter = TRY(scalar(*aggregate.parameter, grid));
  StreamPtr operand = TRY(vector(*aggregate.operand, grid));
  switch (aggregate.op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
    case AggregateOp::kLimitk:
    case AggregateOp::kLimitRatio:
      return select_elements(context_, aggregate, std::move(operand), parameter);
    default: return query::aggregate(context_, aggregate, std::move(operand), parameter);
  }
}

Result<std::vector<double>> Evaluator::scalar_call(const Call& call, const Grid& grid) {
  switch (call.function.id) {
    case FunctionId::kTime: {
      std::vector<double> row(grid.count);
      for (std::size_t k = 0; k < grid.count; ++k) {
        row[k] = static_cast<double>(grid.time_ms(k)) / 1000;
      }
      return row;
    }
    case FunctionId::kPi: return std::vector<double>(grid.count, std::numbers::pi);
    case FunctionId::kStart:
      return std::vector<double>(grid.count, static_cast<double>(plan_.start.ms) / 1000);
    case FunctionId::kEnd:
      return std::vector<double>(grid.count, static_cast<double>(plan_.end.ms) / 1000);
    case FunctionId::kRange:
      return std::vector<double>(grid.count,
                                 static_cast<double>((plan_.end - plan_.start).ms) / 1000);
    case FunctionId::kStep: {
      const bool has_step = plan_.start != plan_.end;
      return std::vector<double>(grid.count,
                                 has_step ? static_cast<double>(plan_.grid.step_ms) / 1000 : 0);
    }
    case FunctionId::kMinOf:
    case FunctionId::kMaxOf: {
      std::vector<double> left = TRY(scalar(*call.arguments[0], grid));
      const std::vector<double> right = TRY(scalar(*call.arguments[1], grid));
      const auto choose = call.function.id == FunctionId::kMinOf ? go_min : go_max;
      for (std::size_t k = 0; k < grid.count; ++k) left[k] = choose(left[k], right[k]);
      return left;
    }
    case FunctionId::kScalar: return scalar_of_vector(*call.arguments[0], grid);
    default: break;
  }
  CHECK(false, "not a scalar function: " + std::string(call.function.name));
  return invalid("not a scalar function");
}

Result<std::vector<double>> Evaluator::scalar_of_vector(const Expr& e, const Grid& grid) {
  const StreamPtr stream = only_floats(TRY(vector(e, grid)));
  // Per step: the value, and how many there are. Batches only add, so their order does not matter.
  std::vector<double> values(grid.count, normal_nan());
  std::vector<std::size_t> counts(grid.count, 0);
  Mutex mutex;
  TRY(for_each_batch(context_, *stream,
                     [&](std::size_t, std::size_t, std::size_t count, const double* rows) {
                       const MutexLock lock(mutex);
                       for (std::size_t i = 0; i < count * grid.count; ++i) {
                         if (is_absent(rows[i])) continue;
                         values[i % grid.count] = rows[i];
                         ++counts[i % grid.count];
                       }
                       return Status();
                     }));
  for (std::size_t k = 0; k < grid.count; ++k) {
    if (counts[k] != 1) values[k] = normal_nan();
  }
  return values;
}

}  // namespace tarsier::query
