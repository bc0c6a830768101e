// How what was counted becomes series.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tracing/traceql/metrics_state.h"
#include "tracing/traceql/series_math.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kCompareTopDefault = 10;

LabelValue text_label(std::string text) { return {.text = std::move(text)}; }
LabelValue number_label(double v) { return {.type = StaticType::kFloat, .real = v}; }

using CellValue = double (*)(const MetricsCell&, double step_seconds);

CellValue cell_value(MetricsFunction function) {
  switch (function) {
    case MetricsFunction::kRate:
      return [](const MetricsCell& c, double step) { return c.count / step; };
    case MetricsFunction::kCountOverTime:
      return [](const MetricsCell& c, double) { return c.count; };
    case MetricsFunction::kMinOverTime:
      return [](const MetricsCell& c, double) { return c.count > 0 ? c.least : kNone; };
    case MetricsFunction::kMaxOverTime:
      return [](const MetricsCell& c, double) { return c.count > 0 ? c.greatest : kNone; };
    case MetricsFunction::kSumOverTime:
      return [](const MetricsCell& c, double) { return c.count > 0 ? c.sum : kNone; };
    default:
      return [](const MetricsCell& c, double) { return c.count > 0 ? c.sum / c.count : kNone; };
  }
}

SeriesLabels with_label(SeriesLabels labels, std::string name, LabelValue value) {
  labels.emplace_back(std::move(name), std::move(value));
  return labels;
}

template <typename Group>
void add_quantiles(const SeriesLabels& labels, const Group& group, const Metrics& m,
                   std::vector<MetricsSeries>& out) {
  for (const double q : m.quantiles) {
    MetricsSeries series{.labels = with_label(labels, "p", number_label(q))};
    for (const ExponentialBuckets& buckets : group.buckets) {
      series.points.push_back(buckets.quantile(q));
    }
    out.push_back(std::move(series));
  }
}

template <typename Group>
void add_buckets(const SeriesLabels& labels, const Group& group, std::vector<MetricsSeries>& out) {
  for (const auto& [power, counts] : group.powers) {
    const double bound = std::exp2(static_cast<double>(power));
    out.push_back({.labels = with_label(labels, "__bucket",
                                        number_label(group.has_durations ? bound / 1e9 : bound)),
                   .points = counts});
  }
}

}  // namespace

std::vector<MetricsSeries> MetricsCollector::combined_series(Node& node) {
  const Metrics& m = *node.metrics;
  const auto number = [](const Metrics& side) -> std::optional<double> {
    if (side.kind != Metrics::Kind::kStatic) return std::nullopt;
    return side.value.type == StaticType::kFloat ? side.value.real
                                                 : static_cast<double>(side.value.number);
  };
  if (const std::optional<double> left = number(m.operands[0])) {
    return combine_with_number(series_of(*node.operands[1]), m.op, *left, NumberSide::kLeft);
  }
  if (const std::optional<double> right = number(m.operands[1])) {
    return combine_with_number(series_of(*node.operands[0]), m.op, *right, NumberSide::kRight);
  }
  return combine_series(series_of(*node.operands[0]), m.op, series_of(*node.operands[1]));
}

std::vector<MetricsSeries> MetricsCollector::compared_series(Node& node) {
  const Metrics& m = *node.metrics;
  const std::size_t top = m.arguments.empty() || m.arguments[0] <= 0
                              ? kCompareTopDefault
                              : static_cast<std::size_t>(m.arguments[0]);
  const std::string sides[] = {"baseline", "selection"};
  std::vector<MetricsSeries> out;
  for (auto& [attribute, compared] : node.compared) {
    const std::string name = attribute_text(attribute);
    for (const std::size_t side : {0U, 1U}) {
      std::vector<std::pair<double, const LabelValue*>> ranked;
      for (const auto& [label, counts] : compared.values) {
        const double sum = std::accumulate(counts[side].begin(), counts[side].end(), 0.0);
        if (sum > 0) ranked.emplace_back(sum, &label);
      }
      std::stable_sort(ranked.begin(), ranked.end(),
                       [](const auto& a, const auto& b) { return a.first > b.first; });
      const bool is_cut = compared.is_cut || ranked.size() > top;
      if (ranked.size() > top) ranked.resize(top);
      for (const auto& [sum, label] : ranked) {
        out.push_back({.labels = {{"__meta_type", text_label(sides[side])}, {name, *label}},
                       .points = compared.values.at(*label)[side]});
      }
      if (compared.totals[side].empty()) continue;
      out.push_back({.labels = {{"__meta_type", text_label(sides[side] + "_total")},
                                {name, text_label("nil")}},
                     .points = compared.totals[side]});
      if (!is_cut) continue;
      out.push_back({.labels = {{"__meta_error", text_label("__too_many_values__")},
                                {"__meta_type", text_label(sides[side])},
                                {name, text_label("nil")}},
                     .points = std::vector<double>(range_.point_count(), 0)});
    }
  }
  return out;
}

std::vector<MetricsSeries> MetricsCollector::series_of(Node& node) {
  const Metrics& m = *node.metrics;
  std::vector<MetricsSeries> out;
  if (m.kind == Metrics::Kind::kBinary) {
    out = combined_series(node);
  } else if (m.function == MetricsFunction::kCompare) {
    out = compared_series(node);
  } else {
    // Counts of nothing are zero, where nobody asked for groups.
    const bool counts = m.function <= MetricsFunction::kCountOverTime;
    if (counts && m.by.empty() && node.groups.empty()) {
      node.groups[{}].cells.resize(range_.point_count());
    }
    for (auto& [labels, group] : node.groups) add_group(m, labels, group, out);
  }
  apply_stages(out, m.stages);
  return out;
}

void MetricsCollector::add_group(const Metrics& m, const SeriesLabels& labels, Accumulated& group,
                                 std::vector<MetricsSeries>& out) {
  if (m.function == MetricsFunction::kQuantileOverTime) {
    add_quantiles(labels, group, m, out);
  } else if (m.function == MetricsFunction::kHistogramOverTime) {
    add_buckets(labels, group, out);
  } else {
    MetricsSeries series{.labels = labels};
    if (labels.empty()) {
      series.labels.emplace_back("__name__", text_label(std::string(function_name(m.function))));
    }
    const CellValue value = cell_value(m.function);
    const double step_seconds = static_cast<double>(range_.step_ns) / 1e9;
    for (const MetricsCell& cell : group.cells) series.points.push_back(value(cell, step_seconds));
    out.push_back(std::move(series));
  }
  if (!out.empty() && !group.exemplars.empty()) out.back().exemplars = std::move(group.exemplars);
}

MetricsResult MetricsCollector::finish() {
  MetricsResult out{.series = series_of(*root_), .is_partial = is_partial_};
  std::erase_if(out.series, [](const MetricsSeries& s) {
    return std::all_of(s.points.begin(), s.points.end(), [](double v) { return std::isnan(v); });
  });
  std::sort(out.series.begin(), out.series.end(),
            [](const MetricsSeries& a, const MetricsSeries& b) { return a.labels < b.labels; });
  if (out.is_partial) out.message = "too many series; some are left out";
  return out;
}

}  // namespace tarsier::tracing::traceql
