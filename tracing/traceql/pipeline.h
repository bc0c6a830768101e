#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tracing/traceql/field_evaluator.h"
#include "tracing/traceql/relation.h"
#include "tracing/traceql/span_source.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

/// Spans of one trace that belong together, and what by() and aggregates say about them. Texts in
/// values are borrowed from the source.
struct Spanset {
  Rows rows;
  std::vector<std::pair<std::string, Value>> attributes;
};

/// Evaluates pipelines over the traces of one source. Borrows the source and the stages, which must
/// stay where they are. One thread at a time.
class PipelineEvaluator final {
 public:
  explicit PipelineEvaluator(SpanSource& source) : source_(source) {}

  /// The span sets the pipeline leaves of a trace; none when it does not match. The error is of the
  /// query: the data can only reveal it.
  Result<std::vector<Spanset>> run(const std::vector<Stage>& stages, TraceRows trace);

  /// The value of a field for a row.
  Value value(const Field& field, std::uint32_t row);
  /// Of an attribute that is in no expression.
  Value value(const Attribute& attribute, std::uint32_t row);

 private:
  const BoundField& bound(const Field& field);
  std::vector<Spanset> run_stages(const std::vector<Stage>& stages, std::vector<Spanset> sets,
                                  TraceRows trace);
  Rows spansets(const Spansets& expression, const Rows& input, bool is_grouped, TraceRows trace);
  std::vector<Spanset> split(const Field& by, std::vector<Spanset> sets);
  /// nil when a set has nothing to aggregate. Adds what was computed to the set's attributes.
  Value scalar(const Scalar& expression, Spanset& set, TraceRows trace);
  Value aggregate(const Scalar& expression, Spanset& set);

  SpanSource& source_;
  std::map<const Field*, BoundField> bound_;
  Status error_;
};

/// Appends every attribute a query mentions in its conditions and selections, each once.
void collect_attributes(const std::vector<Stage>& stages, std::vector<Attribute>& out);

/// The filters whose spans a pipeline can begin from: a trace without a span that passes one of
/// them gives no result. Nothing when there is no such list, as for `{}` or `!>`.
bool collect_filters(const std::vector<Stage>& stages, std::vector<const Field*>& out);

}  // namespace tarsier::tracing::traceql
