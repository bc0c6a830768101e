#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "query/parse/ast.h"
#include "tsdb/histogram.h"

namespace tarsier::testing {

/// A native histogram as the oracle computes with it: buckets by index, nothing clever.
struct ReferenceHistogram {
  int schema = 0;
  std::vector<double> bounds;  ///< Of custom buckets.
  double threshold = 0;
  double count = 0;
  double sum = 0;
  double zero = 0;
  std::map<long, double> positive;
  std::map<long, double> negative;
  tsdb::CounterResetHint hint = tsdb::CounterResetHint::kUnknown;

  bool is_custom() const { return schema == tsdb::kCustomBucketsSchema; }
};
using HistogramPtr = std::shared_ptr<const ReferenceHistogram>;

HistogramPtr reference_of(const tsdb::FloatHistogram& h);
tsdb::FloatHistogram stored_form_of(const ReferenceHistogram& h);

/// One of its populated buckets, as an interval.
struct Interval {
  double lower = 0;
  double upper = 0;
  double count = 0;
};
/// From the lowest to the highest.
std::vector<Interval> intervals_of(const ReferenceHistogram& h);

/// Both with the same bounds for every bucket. False if one is exponential and one custom;
/// `reconciled` if custom bounds were lost.
bool align(ReferenceHistogram& a, ReferenceHistogram& b, bool& reconciled);

/// a + sign * b, or nothing if they do not go together. The hint is that of an addition.
struct ReferenceSum {
  ReferenceHistogram histogram;
  bool reconciled = false;
  bool collides = false;
};
std::optional<ReferenceSum> added(const ReferenceHistogram& a, const ReferenceHistogram& b,
                                  double sign);
ReferenceHistogram scaled(ReferenceHistogram h, double factor);
ReferenceHistogram divided(ReferenceHistogram h, double divisor);
ReferenceHistogram trimmed(ReferenceHistogram h, double limit, bool keeps_below);
/// Without empty buckets.
ReferenceHistogram compacted(ReferenceHistogram h);
bool are_equal(const ReferenceHistogram& a, const ReferenceHistogram& b);
bool is_counter_reset(const ReferenceHistogram& previous, const ReferenceHistogram& current);
std::string text_of_histogram(const ReferenceHistogram& h);

/// The sum or mean of several, with what there is to tell.
struct ReferenceTotal {
  std::optional<ReferenceHistogram> histogram;  ///< Nothing if they do not go together.
  std::size_t first_incompatible = 0;           ///< Which of them did not.
  bool reconciled = false;
  bool collides = false;
};
ReferenceTotal total_of(const std::vector<HistogramPtr>& histograms, bool is_mean);

/// `info` is what is remarkable, without the metric; empty if nothing.
double quantile_of_histogram(double q, const ReferenceHistogram& h, std::string& info);
double fraction_of_histogram(double lower, double upper, const ReferenceHistogram& h,
                             std::string& info);
double variance_of_histogram(const ReferenceHistogram& h);

struct HistogramSample {
  Timestamp t;
  HistogramPtr histogram;
};
struct Window;

/// What a function gives for a window that has histograms, and says about it. Texts end where the
/// metric's name follows, if `names_metric`.
struct RangeOutcome {
  std::optional<double> value;
  HistogramPtr histogram;
  struct Remark {
    std::string text;
    bool is_warning = true;
    bool names_metric = true;
  };
  std::vector<Remark> remarks;
  bool has_result() const { return value.has_value() || histogram != nullptr; }
};
RangeOutcome mixed_range_function(query::FunctionId id, const Window& window,
                                  const std::vector<double>& parameters, Timestamp step_time);

}  // namespace tarsier::testing
