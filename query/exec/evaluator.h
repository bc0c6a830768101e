#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/range_source.h"
#include "query/exec/selection.h"
#include "query/exec/stream.h"
#include "query/plan/plan.h"

namespace tarsier::query {

/// The text of a string literal, parentheses around it or not.
inline const std::string& string_of(const Expr& e) { return as<String>(without_parens(e)).value; }

/// Turns the expressions of a plan into streams, bottom up. What needs all of its input before it
/// can name its output (aggregations, scalars, joins by step) is computed here and now; everything
/// else becomes a stream that computes rows when they are read. One thread.
class Evaluator final {
 public:
  Evaluator(Context& context, const Plan& plan, tsdb::Queryable& storage)
      : context_(context), plan_(plan), selections_(context, plan, storage) {}

  /// REQUIRES: `e` is an instant vector. Streams live no longer than this.
  Result<StreamPtr> vector(const Expr& e, const Grid& grid);
  /// REQUIRES: `e` is a scalar. One value per step.
  Result<std::vector<double>> scalar(const Expr& e, const Grid& grid);
  /// REQUIRES: `e` is a range vector.
  Result<RangePtr> matrix(const Expr& e, const Grid& grid);

 private:
  /// What vector() and matrix() give, unmeasured.
  Result<StreamPtr> operator_of(const Expr& e, const Grid& grid);
  Result<RangePtr> range_of(const Expr& e, const Grid& grid);
  Result<StreamPtr> selector(const Selector& selector, const Grid& grid, SampleAspect aspect);
  HistogramDetail detail(const Selector& selector) const;
  Result<StreamPtr> unary_minus(const Unary& unary, const Grid& grid);
  Result<StreamPtr> binary(const Binary& binary, const Grid& grid);
  Result<StreamPtr> binary_with_scalar(const Binary& binary, const Grid& grid);
  Result<std::vector<double>> binary_of_scalars(const Binary& binary, const Grid& grid);
  Result<StreamPtr> aggregation(const Aggregate& aggregate, const Grid& grid);

  Result<StreamPtr> call(const Call& call, const Grid& grid);
  Result<StreamPtr> element_call(const Call& call, const Grid& grid);
  Result<StreamPtr> range_call(const Call& call, const Grid& grid);
  Result<StreamPtr> timestamp_call(const Call& call, const Grid& grid);
  Result<StreamPtr> start_timestamp_call(const Call& call, const Grid& grid);
  Result<StreamPtr> histogram_number_call(const Call& call, const Grid& grid);
  Result<StreamPtr> histogram_call(const Call& call, const Grid& grid);
  Result<StreamPtr> histogram_quantiles_call(const Call& call, const Grid& grid);
  Result<StreamPtr> info_call(const Call& call, const Grid& grid);
  Result<StreamPtr> absent_call(const Call& call, const Grid& grid);
  Result<StreamPtr> sort_call(const Call& call, const Grid& grid);
  Result<std::vector<double>> scalar_call(const Call& call, const Grid& grid);
  Result<std::vector<double>> scalar_of_vector(const Expr& e, const Grid& grid);

  void warn_of_bad_quantiles(const std::vector<double>& phi, SourceRange where);
  Result<StreamPtr> single_row(const Grid& grid, tsdb::Labels labels, std::vector<double> row);

  Context& context_;
  const Plan& plan_;
  Selections selections_;
};

}  // namespace tarsier::query
