#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::query {

enum class ResultType : unsigned char { kScalar, kString, kVector, kMatrix };

/// "scalar", "string", "vector" or "matrix": the API's `resultType`.
std::string_view result_type_name(ResultType type);

/// One element of an instant vector. Its time is the query's.
struct VectorElement {
  tsdb::Labels labels;
  double value = 0;  ///< Without meaning when there is a histogram.
  std::shared_ptr<const tsdb::FloatHistogram> histogram = nullptr;  ///< Null: it is a number.
};

/// One series of a matrix: only the points that exist, in time order. For a range query their times
/// are the steps, for a range selector the times at which they were recorded.
struct MatrixSeries {
  tsdb::Labels labels;
  tsdb::SampleColumns points;
  /// Points that are native histograms, at other times than the numbers; null if there are none.
  std::shared_ptr<const tsdb::HistogramColumns> histograms = nullptr;

  std::size_t point_count() const {
    return points.size() + (histograms == nullptr ? 0 : histograms->size());
  }
};

/// What the query wants to tell its author. Each text is complete, with its position in the query:
/// `PromQL info: metric might not be a counter, ...: "x" (1:6)`. Sorted, no text twice, not cut:
/// showing only the first few is up to the API.
struct Annotations {
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};

/// A number for each step of a query.
struct StepCounts {
  std::int64_t start_ms = 0;
  std::int64_t step_ms = 0;
  std::vector<std::uint64_t> counts;
};

struct Explanation;

/// What a query cost. Times are zero for an engine without a monitor: then nobody has a clock.
struct QueryStatistics {
  std::uint64_t samples_read = 0;       ///< Stored samples that were looked at, each once.
  std::uint64_t samples_queryable = 0;  ///< The same for each step anew; only if asked for.
  std::uint64_t samples_peak = 0;       ///< Most values held at once.
  std::uint64_t memory_peak_bytes = 0;
  double prepare_seconds = 0;  ///< Parsing, planning, finding series.
  double eval_seconds = 0;
  double sort_seconds = 0;
  StepCounts queryable_per_step;  ///< Empty unless asked for.
  StepCounts read_per_step;
  std::shared_ptr<const Explanation> operators;  ///< What each did; null unless asked for.
  /// Of what was read, finest first; 0 is the samples themselves. Empty if nothing was found.
  std::vector<Duration> resolutions;
};

/// The answer to a query: `type` says which one of the values below is meant.
struct QueryResult {
  ResultType type = ResultType::kVector;
  Timestamp time;                     ///< Of scalar, string and vector elements.
  double scalar = 0;                  ///< kScalar.
  std::string text;                   ///< kString.
  std::vector<VectorElement> vector;  ///< kVector: in the order sort, topk and the like gave it.
  std::vector<MatrixSeries> matrix;   ///< kMatrix: sorted by labels, no series without points.
  Annotations annotations;
  QueryStatistics statistics;
};

}  // namespace tarsier::query
