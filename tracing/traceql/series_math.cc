#include "tracing/traceql/series_math.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace tarsier::tracing::traceql {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double combined(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return a + b;
    case Op::kSubtract: return a - b;
    case Op::kMultiply: return a * b;
    default: return b == 0 ? kNone : a / b;
  }
}

SeriesLabels without_name(const SeriesLabels& labels) {
  SeriesLabels out;
  for (const auto& label : labels) {
    if (label.first != "__name__") out.push_back(label);
  }
  return out;
}

MetricsSeries joined(const MetricsSeries& a, Op op, const MetricsSeries& b, SeriesLabels labels) {
  MetricsSeries out{.labels = std::move(labels)};
  for (std::size_t i = 0; i < std::min(a.points.size(), b.points.size()); ++i) {
    out.points.push_back(combined(op, a.points[i], b.points[i]));
  }
  return out;
}

/// Leaves in each step the `count` first of the order.
void leave_best(std::vector<MetricsSeries>& series, std::size_t count, bool wants_greatest) {
  if (series.empty()) return;
  std::sort(series.begin(), series.end(),
            [](const MetricsSeries& a, const MetricsSeries& b) { return a.labels < b.labels; });
  for (std::size_t step = 0; step < series[0].points.size(); ++step) {
    std::vector<MetricsSeries*> ranked;
    for (MetricsSeries& s : series) {
      if (!std::isnan(s.points[step])) ranked.push_back(&s);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [&](const auto* a, const auto* b) {
      return wants_greatest ? a->points[step] > b->points[step] : a->points[step] < b->points[step];
    });
    for (std::size_t i = count; i < ranked.size(); ++i) ranked[i]->points[step] = kNone;
  }
}

}  // namespace

std::vector<MetricsSeries> combine_with_number(std::vector<MetricsSeries> series, Op op,
                                               double number, NumberSide side) {
  for (MetricsSeries& s : series) {
    s.exemplars.clear();
    for (double& v : s.points) {
      v = side == NumberSide::kLeft ? combined(op, number, v) : combined(op, v, number);
    }
  }
  return series;
}

std::vector<MetricsSeries> combine_series(std::vector<MetricsSeries> left, Op op,
                                          std::vector<MetricsSeries> right) {
  std::vector<MetricsSeries> out;
  for (const MetricsSeries& a : left) {
    const SeriesLabels a_labels = without_name(a.labels);
    for (const MetricsSeries& b : right) {
      const SeriesLabels b_labels = without_name(b.labels);
      const bool fits = a_labels == b_labels || a_labels.empty() || b_labels.empty();
      if (fits) out.push_back(joined(a, op, b, a_labels.empty() ? b.labels : a.labels));
    }
  }
  return out;
}

void apply_stages(std::vector<MetricsSeries>& series, const std::vector<SeriesStage>& stages) {
  for (const SeriesStage& stage : stages) {
    if (stage.kind != SeriesStage::Kind::kFilter) {
      leave_best(series, static_cast<std::size_t>(stage.count),
                 stage.kind == SeriesStage::Kind::kTopK);
      continue;
    }
    const Value threshold = value_of(stage.threshold);
    for (MetricsSeries& s : series) {
      for (double& v : s.points) {
        if (!std::isnan(v) && !holds(stage.op, Value::of_float(v), threshold, nullptr)) v = kNone;
      }
    }
  }
}

}  // namespace tarsier::tracing::traceql
