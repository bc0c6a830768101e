#include "tests/query/reference_engine.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "query/parse.h"
#include "query/parse/duration.h"
#include "tests/query/reference_evaluator.h"

namespace tarsier::testing {
namespace {

using query::ExprPtr;
using query::QueryResult;
using query::ResultType;
using query::ValueType;

/// Collects the points of a matrix.
class MatrixPoints final {
 public:
  void add(const tsdb::Labels& labels, Timestamp t, double v, const HistogramPtr& histogram) {
    Points& points = series_[labels];
    if (histogram == nullptr) {
      points.floats.push_back(t, v);
    } else {
      points.histograms.push_back(t, stored_form_of(*histogram));
    }
  }
  std::vector<query::MatrixSeries> take() {
    std::vector<query::MatrixSeries> matrix;
    for (auto& [labels, points] : series_) {
      matrix.push_back({labels, std::move(points.floats), nullptr});
      if (points.histograms.empty()) continue;
      matrix.back().histograms =
          std::make_shared<const tsdb::HistogramColumns>(std::move(points.histograms));
    }
    return matrix;
  }

 private:
  struct Points {
    tsdb::SampleColumns floats;
    tsdb::HistogramColumns histograms;
  };
  std::map<tsdb::Labels, Points> series_;
};

Result<QueryResult> instant_result(ReferenceEvaluator& evaluator, const query::Expr& e,
                                   Timestamp t) {
  const Moment at = {.t = t, .steps = {.start = t, .end = t, .step = Duration{0}}};
  QueryResult result;
  result.time = t;
  switch (e.type) {
    case ValueType::kScalar:
      result.type = ResultType::kScalar;
      result.scalar = TRY(evaluator.scalar(e, at));
      break;
    case ValueType::kString:
      result.type = ResultType::kString;
      result.text = query::as<query::String>(query::without_parens(e)).value;
      break;
    case ValueType::kMatrix: {
      result.type = ResultType::kMatrix;
      MatrixPoints series;
      for (const Window& w : TRY(evaluator.matrix(e, at))) {
        const tsdb::Labels labels = w.drops_name ? without_metadata(w.labels) : w.labels;
        for (const tsdb::Sample& s : w.samples) series.add(labels, s.t, s.v, nullptr);
        for (const HistogramSample& s : w.histograms) series.add(labels, s.t, 0, s.histogram);
      }
      result.matrix = series.take();
      break;
    }
    default:
      result.type = ResultType::kVector;
      for (const Element& element : TRY(evaluator.final_vector(e, at))) {
        result.vector.push_back({element.labels, element.value, nullptr});
        if (element.histogram == nullptr) continue;
        result.vector.back().histogram =
            std::make_shared<const tsdb::FloatHistogram>(stored_form_of(*element.histogram));
      }
  }
  return result;
}

Result<QueryResult> range_result(ReferenceEvaluator& evaluator, const query::Expr& e,
                                 const query::QueryRequest& request) {
  if (e.type != ValueType::kScalar && e.type != ValueType::kVector) {
    return invalid(
        fmt::format("invalid expression type \"{}\" for range query, must be Scalar or "
                    "instant Vector",
                    query::documented_name(e.type)));
  }
  const Steps steps = {.start = request.start, .end = request.end, .step = request.step};
  QueryResult result;
  result.type = ResultType::kMatrix;
  MatrixPoints series;
  for (Timestamp t = steps.start; t <= steps.end; t = t + steps.step) {
    if (e.type == ValueType::kScalar) {
      series.add({}, t, TRY(evaluator.scalar(e, {t, steps})), nullptr);
      continue;
    }
    for (const Element& element : TRY(evaluator.final_vector(e, {t, steps}))) {
      series.add(element.labels, t, element.value, element.histogram);
    }
  }
  result.matrix = series.take();
  return result;
}

}  // namespace

Result<QueryResult> evaluate_reference(tsdb::Queryable& storage, const query::QueryRequest& request,
                                       const query::EngineOptions& options) {
  const ExprPtr expression = TRY(query::parse_expression(request.text));
  TRY(query::resolve_durations(*expression,
                               {.step = request.step, .range = request.end - request.start}));
  const std::unique_ptr<tsdb::Querier> querier = TRY(storage.querier({}));
  const Duration lookback =
      request.lookback_delta.ms > 0 ? request.lookback_delta : options.lookback_delta;
  ReferenceEvaluator evaluator(*querier, request,
                               {.lookback = lookback,
                                .subquery_step = options.subquery_step,
                                .delays_name_removal = options.delayed_name_removal});
  evaluator.look_at(*expression);
  const bool is_range = request.step.ms > 0;
  QueryResult result = TRY(is_range ? range_result(evaluator, *expression, request)
                                    : instant_result(evaluator, *expression, request.start));
  result.annotations = evaluator.take_annotations();
  return result;
}

}  // namespace tarsier::testing
