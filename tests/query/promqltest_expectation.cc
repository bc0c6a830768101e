#include "tests/query/promqltest_expectation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "query/histogram/layout.h"
#include "tests/query/histogram_notation.h"
#include "tsdb/sample.h"

namespace tarsier::testing {

using query::QueryResult;
using query::ResultType;

namespace {

bool almost_equal(double a, double b) {
  if (tsdb::is_stale_marker(a) || tsdb::is_stale_marker(b)) {
    return tsdb::is_stale_marker(a) && tsdb::is_stale_marker(b);
  }
  if (std::isnan(a) && std::isnan(b)) return true;
  if (a == b) return true;
  constexpr double kTolerance = 1e-6;
  constexpr double kMin = std::numeric_limits<double>::min();
  const double sum = std::abs(a) + std::abs(b);
  if (a == 0 || b == 0 || sum < kMin) return std::abs(a - b) < kTolerance * kMin;
  return std::abs(a - b) / std::min(sum, std::numeric_limits<double>::max()) < kTolerance;
}

std::string value_text(double v) {
  if (tsdb::is_stale_marker(v)) return "stale";
  return fmt::format("{}", v);
}

Status compare_point(const tsdb::Labels& labels, std::int64_t time_ms, double want, double got) {
  if (almost_equal(want, got)) return {};
  return invalid(fmt::format("{} at {} ms: want {}, got {}", labels.to_string(), time_ms,
                             value_text(want), value_text(got)));
}

bool are_almost_equal(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, almost_equal);
}

Status compare_histogram(const tsdb::Labels& labels, std::int64_t time_ms,
                         const HistogramLiteral& literal, tsdb::FloatHistogram got) {
  tsdb::FloatHistogram want = literal.histogram;
  query::compact(want);
  query::compact(got);
  const bool is_same = want.layout == got.layout && almost_equal(want.count, got.count) &&
                       almost_equal(want.sum, got.sum) &&
                       almost_equal(want.zero_count, got.zero_count) &&
                       are_almost_equal(want.positive_counts, got.positive_counts) &&
                       are_almost_equal(want.negative_counts, got.negative_counts) &&
                       (!literal.has_hint || want.hint == got.hint);
  if (is_same) return {};
  return invalid(fmt::format("{} at {} ms: want {}, got {}", labels.to_string(), time_ms,
                             notation_of(want), notation_of(got)));
}

Status compare_matrix(const std::vector<SeriesLine>& want, Timestamp start, Duration step,
                      const std::vector<query::MatrixSeries>& got) {
  if (!std::ranges::is_sorted(got, {}, &query::MatrixSeries::labels)) {
    return invalid("the matrix is not sorted by labels");
  }
  for (const query::MatrixSeries& series : got) {
    if (std::ranges::find(want, series.labels, &SeriesLine::labels) == want.end()) {
      return invalid("unexpected series " + series.labels.to_string());
    }
  }
  for (const SeriesLine& line : want) {
    std::map<std::int64_t, std::size_t> expected;  // Time to slot.
    for (std::size_t i = 0; i < line.slots.size(); ++i) {
      if (!line.slots[i] && !line.histograms.contains(i)) continue;
      expected[start.ms + static_cast<std::int64_t>(i) * step.ms] = i;
    }
    const auto series = std::ranges::find(got, line.labels, &query::MatrixSeries::labels);
    if (series == got.end()) {
      if (expected.empty()) continue;
      return invalid("missing series " + line.labels.to_string());
    }
    for (std::size_t i = 0; i < series->points.size(); ++i) {
      const std::int64_t time_ms = series->points.times_ms[i];
      const auto point = expected.find(time_ms);
      if (point == expected.end() || !line.slots[point->second]) {
        return invalid(fmt::format("{}: unexpected point {} at {} ms", line.labels.to_string(),
                                   value_text(series->points.values[i]), time_ms));
      }
      TRY(compare_point(line.labels, time_ms, *line.slots[point->second],
                        series->points.values[i]));
      expected.erase(point);
    }
    const std::size_t histograms = series->histograms == nullptr ? 0 : series->histograms->size();
    for (std::size_t i = 0; i < histograms; ++i) {
      const std::int64_t time_ms = series->histograms->times_ms[i];
      const auto point = expected.find(time_ms);
      if (point == expected.end() || !line.histograms.contains(point->second)) {
        return invalid(fmt::format("{}: unexpected histogram {} at {} ms", line.labels.to_string(),
                                   notation_of(series->histograms->at(i)), time_ms));
      }
      TRY(compare_histogram(line.labels, time_ms, line.histograms.at(point->second),
                            series->histograms->at(i)));
      expected.erase(point);
    }
    if (!expected.empty()) {
      return invalid(
          fmt::format("{}: no point at {} ms", line.labels.to_string(), expected.begin()->first));
    }
  }
  return {};
}

}  // namespace

Status compare_scalar(Timestamp t, double want, double got) {
  return compare_point({}, t.ms, want, got);
}

Status compare_vector(const Eval& eval, const std::vector<query::VectorElement>& got,
                      bool check_order) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto want = std::ranges::find(eval.series, got[i].labels, &SeriesLine::labels);
    if (want == eval.series.end()) {
      return invalid(fmt::format("unexpected series {} {}", got[i].labels.to_string(),
                                 value_text(got[i].value)));
    }
    const auto position = static_cast<std::size_t>(want - eval.series.begin());
    if (check_order && position != i) {
      return invalid(
          fmt::format("{} is at position {}, want {}", got[i].labels.to_string(), i, position));
    }
    if (want->slots.size() != 1) return invalid("script: not one value");
    if (const auto histogram = want->histograms.find(0); histogram != want->histograms.end()) {
      if (got[i].histogram == nullptr) {
        return invalid(fmt::format("{}: want a histogram, got {}", got[i].labels.to_string(),
                                   value_text(got[i].value)));
      }
      TRY(compare_histogram(got[i].labels, eval.start.ms, histogram->second, *got[i].histogram));
      continue;
    }
    if (got[i].histogram != nullptr) {
      return invalid(fmt::format("{}: unexpected histogram {}", got[i].labels.to_string(),
                                 notation_of(*got[i].histogram)));
    }
    if (!want->slots[0]) return invalid("script: not one value");
    TRY(compare_point(got[i].labels, eval.start.ms, *want->slots[0], got[i].value));
  }
  for (const SeriesLine& want : eval.series) {
    if (std::ranges::find(got, want.labels, &query::VectorElement::labels) == got.end()) {
      return invalid("missing series " + want.labels.to_string());
    }
  }
  return {};
}

Status compare_annotations(const std::vector<TextPattern>& want, bool forbidden,
                           const std::vector<std::string>& got, std::string_view kind) {
  if (forbidden && !got.empty()) return invalid(fmt::format("unexpected {}: {}", kind, got[0]));
  if (want.empty()) return {};
  if (got.empty()) return invalid(fmt::format("expected {}, got none", kind));
  for (const TextPattern& pattern : want) {
    const auto fits = [&](const std::string& text) { return pattern.matches(text); };
    if (std::ranges::any_of(got, fits)) continue;
    return invalid(fmt::format("no {} is {}; there is {}", kind, pattern.text, got[0]));
  }
  for (const std::string& text : got) {
    const auto fits = [&](const TextPattern& pattern) { return pattern.matches(text); };
    if (std::ranges::any_of(want, fits)) continue;
    return invalid(fmt::format("unexpected {}: {}", kind, text));
  }
  return {};
}

Status compare_result(const Eval& eval, const QueryResult& got) {
  if (eval.string) {
    if (got.type != ResultType::kString || got.text != *eval.string) {
      return invalid(fmt::format("want the string {}, got {}", *eval.string, got.text));
    }
    return {};
  }
  if (eval.scalar) {
    if (got.type != ResultType::kScalar) return invalid("want a scalar");
    return compare_point({}, eval.start.ms, *eval.scalar, got.scalar);
  }
  if (eval.matrix_start) {
    if (got.type != ResultType::kMatrix) return invalid("want a range vector");
    return compare_matrix(eval.series, *eval.matrix_start, eval.matrix_step, got.matrix);
  }
  switch (got.type) {
    case ResultType::kVector: return compare_vector(eval, got.vector, eval.ordered);
    case ResultType::kMatrix:
      if (!eval.is_range) return invalid("got a range vector");
      return compare_matrix(eval.series, eval.start, eval.step, got.matrix);
    default: return invalid("got a scalar or string");
  }
}

}  // namespace tarsier::testing
