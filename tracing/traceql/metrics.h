#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tracing/traceql/pipeline.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

/// The times of a metrics query. Intervals are open on the left: the point at t counts the spans
/// that began in (t - step, t].
struct MetricsRange {
  std::int64_t start_ns = 0;  ///< The first point; a multiple of the step.
  std::int64_t end_ns = 0;    ///< The last one.
  std::int64_t step_ns = 0;
  std::size_t exemplars_max = 0;    ///< Per query.
  std::size_t series_max = 10'000;  ///< More are dropped, and told.
  /// Of all that is counted, labels and all functions of the query together; what would go beyond
  /// is left out, and told.
  std::size_t bytes_max = std::size_t{256} << 20;

  std::size_t point_count() const {
    return static_cast<std::size_t>((end_ns - start_ns) / step_ns) + 1;
  }
};

/// A value of a label as the API shows it, with its type.
struct LabelValue {
  StaticType type = StaticType::kString;
  std::string text;          ///< Of strings; of everything else, how it is displayed.
  std::int64_t integer = 0;  ///< Of ints and bools.
  double real = 0;
  auto operator<=>(const LabelValue&) const = default;
};
LabelValue label_of(Value value);

using SeriesLabels = std::vector<std::pair<std::string, LabelValue>>;

struct SeriesExemplar {
  SeriesLabels labels;
  double value = 0;
  std::int64_t timestamp_ms = 0;
};

struct MetricsSeries {
  SeriesLabels labels;
  std::vector<double> points;  ///< NaN where there is none.
  std::vector<SeriesExemplar> exemplars;
};

struct MetricsResult {
  std::vector<MetricsSeries> series;
  bool is_partial = false;
  std::string message;
};

/// Collects what a metrics query counts, source after source. Borrows the query. One thread at a
/// time.
class MetricsCollector final {
 public:
  MetricsCollector(const Metrics& metrics, const MetricsRange& range);
  ~MetricsCollector();

  /// Adds the matching spans of one trace.
  Status add(PipelineEvaluator& evaluator, SpanSource& source, TraceRows trace);
  /// The series, sorted by labels.
  MetricsResult finish();

 private:
  struct Accumulated;
  struct Node;
  Status add_to(Node& node, PipelineEvaluator& evaluator, SpanSource& source, TraceRows trace);
  void compare(Node& node, SpanSource& source, const std::vector<Attribute>& attributes,
               std::uint32_t row, std::size_t step, bool is_selected);
  void count(Node& node, PipelineEvaluator& evaluator, SpanSource& source, std::uint32_t row,
             std::size_t step);
  std::vector<MetricsSeries> series_of(Node& node);
  std::vector<MetricsSeries> combined_series(Node& node);
  std::vector<MetricsSeries> compared_series(Node& node);
  void add_group(const Metrics& m, const SeriesLabels& labels, Accumulated& group,
                 std::vector<MetricsSeries>& out);

  /// False when there is no memory left for them; the answer is partial then.
  bool reserve(std::size_t bytes);

  const MetricsRange range_;
  std::unique_ptr<Node> root_;
  std::size_t exemplar_count_ = 0;
  std::size_t byte_count_ = 0;
  bool is_partial_ = false;
};

/// The step for a range of this length when none is asked for.
std::int64_t default_step_ns(std::int64_t range_ns);

/// Every pipeline inside, for those who look for filters.
void collect_pipelines(const Metrics& metrics, std::vector<const std::vector<Stage>*>& out);

}  // namespace tarsier::tracing::traceql
