#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "query/parse/ast.h"
#include "tests/query/reference_histogram.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::testing {

// The few values the oracle computes with, one step at a time.

/// One element of an instant vector.
struct Element {
  tsdb::Labels labels;
  double value = 0;
  bool drops_name = false;  ///< With delayed name removal: the name goes when the query ends.
  HistogramPtr histogram = nullptr;  ///< Null: the value counts.
};
using Vector = std::vector<Element>;

/// The samples of one series in (start, end], without stale markers.
struct Window {
  tsdb::Labels labels;
  bool drops_name = false;
  Timestamp start;
  Timestamp end;
  std::vector<tsdb::Sample> samples;
  std::vector<HistogramSample> histograms = {};
};

/// Neumaier's sum: what was lost to rounding is kept apart.
struct CompensatedSum {
  double sum = 0;
  double lost = 0;
  void add(double x) {
    const double t = sum + x;
    if (std::isinf(t)) {
      lost = 0;
    } else if (std::abs(sum) >= std::abs(x)) {
      lost += (sum - t) + x;
    } else {
      lost += (x - t) + sum;
    }
    sum = t;
  }
  double value() const { return sum + lost; }
};

/// The mean as `avg` and `avg_over_time` compute it: a sum divided by the count, until the sum
/// would overflow; from there on the mean itself is corrected value by value.
double compensated_mean(const std::vector<double>& values);

/// The quantile of values in any order; NaN sorts first.
double quantile_of(double q, std::vector<double> values);

/// Functions of one window. Nothing where the function has no result. `parameters` are the scalar
/// arguments in order; `step_time` is the time of the step.
std::optional<double> range_function(query::FunctionId id, const Window& window,
                                     const std::vector<double>& parameters, Timestamp step_time);

/// Functions of one value. REQUIRES: is_value_function(id).
double value_function(query::FunctionId id, double v);
bool is_value_function(query::FunctionId id);

/// Operators of two floats; comparisons give 1 or 0. REQUIRES: not a set or trim operator.
double binary_value(query::BinaryOp op, double left, double right);

/// A classic histogram: upper bounds with cumulative counts.
struct Bucket {
  double upper = 0;
  double count = 0;
};
/// What had to be changed so that the counts never decrease.
struct MonotonicityFix {
  double lowest = 0;
  double highest = 0;
  double difference_max = 0;
};
double histogram_quantile_of(double q, std::vector<Bucket> buckets,
                             std::optional<MonotonicityFix>& fix);
double histogram_fraction_of(double lower, double upper, std::vector<Bucket> buckets);

}  // namespace tarsier::testing
