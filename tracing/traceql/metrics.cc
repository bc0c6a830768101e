#include "tracing/traceql/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "tracing/traceql/exponential_buckets.h"
#include "tracing/traceql/series_math.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kCompareTopDefault = 10;
/// Values of one attribute that compare() counts.
constexpr std::size_t kCompareValuesMax = 1000;
constexpr std::size_t kExemplarsPerSeries = 3;
/// Series times points: about 200 MB.
constexpr std::size_t kCellsMax = 4'000'000;

/// What one series has in one step.
struct Cell {
  double count = 0;
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
};

}  // namespace

/// What one series has.
struct MetricsCollector::Accumulated {
  std::vector<Cell> cells;
  std::vector<ExponentialBuckets> buckets;             ///< Of quantiles, one per step.
  std::map<std::int64_t, std::vector<double>> powers;  ///< Of histograms: counts by bound 2^n.
  bool has_durations = false;  ///< Bounds of histograms are shown in seconds.
  std::vector<SeriesExemplar> exemplars;
};

namespace {

/// A number for the functions over an attribute, durations in seconds; nothing for other types.
std::optional<double> measured(Value v) {
  if (v.type() == ValueType::kDuration) return v.number() / 1e9;
  if (v.is_numeric()) return v.number();
  return std::nullopt;
}

LabelValue text_label(std::string text) { return {.text = std::move(text)}; }
LabelValue number_label(double v) { return {.type = StaticType::kFloat, .real = v}; }

}  // namespace

LabelValue label_of(Value value) {
  LabelValue out{.text = display(value)};
  switch (value.type()) {
    case ValueType::kBool:
      out.type = StaticType::kBool;
      out.integer = value.integer();
      break;
    case ValueType::kInt:
      out.type = StaticType::kInt;
      out.integer = value.integer();
      break;
    case ValueType::kFloat:
      out.type = StaticType::kFloat;
      out.real = value.number();
      break;
    default: break;  // Everything else is shown as text.
  }
  return out;
}

struct MetricsCollector::Node {
  const Metrics* metrics = nullptr;
  std::vector<std::unique_ptr<Node>> operands;
  std::map<SeriesLabels, Accumulated> groups;
  /// Of compare(): by attribute and value, counts for baseline and selection.
  struct Compared {
    std::map<LabelValue, std::array<std::vector<double>, 2>> values;
    std::array<std::vector<double>, 2> totals;
    bool is_cut = false;
  };
  std::map<Attribute, Compared> compared;
};

MetricsCollector::MetricsCollector(const Metrics& metrics, const MetricsRange& range)
    : range_(range), root_(std::make_unique<Node>()) {
  // The tree of metrics is shallow: its parentheses are.
  const auto build = [](const auto& self, Node& node, const Metrics& m) -> void {
    node.metrics = &m;
    for (const Metrics& operand : m.operands) {
      self(self, *node.operands.emplace_back(std::make_unique<Node>()), operand);
    }
  };
  build(build, *root_, metrics);
}

MetricsCollector::~MetricsCollector() = default;

Status MetricsCollector::add(PipelineEvaluator& evaluator, SpanSource& source, TraceRows trace) {
  return add_to(*root_, evaluator, source, trace);
}

namespace {

Result<std::set<std::uint32_t>> selected_rows(const Metrics& m, SpanSource& source,
                                              TraceRows trace) {
  std::vector<Stage> stages(1);
  stages[0].spansets = *m.selection;
  // The stages live only here: the evaluator of the query must not remember them.
  PipelineEvaluator evaluator(source);
  std::set<std::uint32_t> out;
  for (const Spanset& set : TRY(evaluator.run(stages, trace))) {
    out.insert(set.rows.begin(), set.rows.end());
  }
  if (m.arguments.size() == 3) {
    std::erase_if(out, [&](std::uint32_t row) {
      const auto t = static_cast<std::int64_t>(source.starts_ns()[row]);
      return t < m.arguments[1] || t > m.arguments[2];
    });
  }
  return out;
}

/// Where in the points a span is counted; nothing outside the range.
std::optional<std::size_t> step_of(const MetricsRange& range, std::uint64_t start_ns) {
  const auto t = static_cast<std::int64_t>(
      std::min<std::uint64_t>(start_ns, std::numeric_limits<std::int64_t>::max()));
  if (t <= range.start_ns - range.step_ns || t > range.end_ns) return std::nullopt;
  const std::int64_t distance = t - (range.start_ns - range.step_ns);
  return static_cast<std::size_t>((distance - 1) / range.step_ns);
}

}  // namespace

Status MetricsCollector::add_to(Node& node, PipelineEvaluator& evaluator, SpanSource& source,
                                TraceRows trace) {
  const Metrics& m = *node.metrics;
  for (const auto& operand : node.operands) TRY(add_to(*operand, evaluator, source, trace));
  if (m.kind != Metrics::Kind::kFunction) return {};
  const std::span<const std::uint64_t> starts = source.starts_ns();
  const std::vector<Spanset> sets = TRY(evaluator.run(m.pipeline, trace));
  std::set<std::uint32_t> seen;  // A span in two sets counts once.
  std::set<std::uint32_t> selected;
  std::vector<Attribute> compared;
  if (m.selection && !sets.empty()) {
    selected = TRY(selected_rows(m, source, trace));
    for (Attribute& a : source.attributes()) {
      if (a.scope == Scope::kSpan || a.scope == Scope::kResource) compared.push_back(std::move(a));
    }
  }
  for (const Spanset& set : sets) {
    for (const std::uint32_t row : set.rows) {
      const std::optional<std::size_t> step = step_of(range_, starts[row]);
      if (!step || !seen.insert(row).second) continue;
      if (m.function == MetricsFunction::kCompare) {
        compare(node, source, compared, row, *step, selected.contains(row));
      } else {
        count(node, evaluator, source, row, *step);
      }
    }
  }
  return {};
}

void MetricsCollector::compare(Node& node, SpanSource& source,
                               const std::vector<Attribute>& attributes, std::uint32_t row,
                               std::size_t step, bool is_selected) {
  const std::size_t side = is_selected ? 1 : 0;
  for (const Attribute& attribute : attributes) {
    const Value value = source.column(attribute).at(row);
    if (value.is_nil()) continue;
    Node::Compared& compared = node.compared[attribute];
    compared.totals[side].resize(range_.point_count());
    compared.totals[side][step] += 1;
    const LabelValue label = label_of(value);
    if (!compared.values.contains(label) && compared.values.size() >= kCompareValuesMax) {
      compared.is_cut = true;
      continue;
    }
    std::vector<double>& counts = compared.values[label][side];
    counts.resize(range_.point_count());
    counts[step] += 1;
  }
}

void MetricsCollector::count(Node& node, PipelineEvaluator& evaluator, SpanSource& source,
                             std::uint32_t row, std::size_t step) {
  const Metrics& m = *node.metrics;
  std::optional<double> value;
  Value argument;
  if (m.function >= MetricsFunction::kMinOverTime) {
    argument = evaluator.value(m.argument, row);
    value = measured(argument);
    if (!value) return;
    if (m.function == MetricsFunction::kHistogramOverTime && argument.number() < 2) return;
  }
  SeriesLabels labels;
  for (const Attribute& by : m.by) {
    labels.emplace_back(attribute_text(by), label_of(evaluator.value(by, row)));
  }
  const auto [at, is_new] = node.groups.try_emplace(std::move(labels));
  const bool is_too_much = node.groups.size() > range_.series_max ||
                           node.groups.size() * range_.point_count() > kCellsMax;
  if (is_new && is_too_much && node.groups.size() > 1) {
    node.groups.erase(at);
    is_partial_ = true;
    return;
  }
  Accumulated& group = at->second;
  if (is_new) group.cells.resize(range_.point_count());
  Cell& cell = group.cells[step];
  cell.count += 1;
  if (value) {
    cell.sum += *value;
    cell.least = std::min(cell.least, *value);
    cell.greatest = std::max(cell.greatest, *value);
  }
  if (m.function == MetricsFunction::kQuantileOverTime) {
    group.buckets.resize(range_.point_count());
    group.buckets[step].add(*value);
  }
  if (m.function == MetricsFunction::kHistogramOverTime) {
    group.has_durations = group.has_durations || argument.type() == ValueType::kDuration;
    const auto power = static_cast<std::int64_t>(std::ceil(std::log2(argument.number())));
    std::vector<double>& counts = group.powers[power];
    counts.resize(range_.point_count());
    counts[step] += 1;
  }
  if (exemplar_count_ < range_.exemplars_max && group.exemplars.size() < kExemplarsPerSeries) {
    const Value id = source.column({.intrinsic = Intrinsic::kTraceId}).at(row);
    group.exemplars.push_back(
        {.labels = {{"trace:id", label_of(id)}},
         .value = value.value_or(1),
         .timestamp_ms = static_cast<std::int64_t>(source.starts_ns()[row] / 1'000'000)});
    ++exemplar_count_;
  }
}

namespace {

using CellValue = double (*)(const Cell&, double step_seconds);

CellValue cell_value(MetricsFunction function) {
  switch (function) {
    case MetricsFunction::kRate: return [](const Cell& c, double step) { return c.count / step; };
    case MetricsFunction::kCountOverTime: return [](const Cell& c, double) { return c.count; };
    case MetricsFunction::kMinOverTime:
      return [](const Cell& c, double) { return c.count > 0 ? c.least : kNone; };
    case MetricsFunction::kMaxOverTime:
      return [](const Cell& c, double) { return c.count > 0 ? c.greatest : kNone; };
    case MetricsFunction::kSumOverTime:
      return [](const Cell& c, double) { return c.count > 0 ? c.sum : kNone; };
    default: return [](const Cell& c, double) { return c.count > 0 ? c.sum / c.count : kNone; };
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
    for (const Cell& cell : group.cells) series.points.push_back(value(cell, step_seconds));
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

std::int64_t default_step_ns(std::int64_t range_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (range_ns < 60 * kSecond) return 50'000'000;
  const std::int64_t wanted = range_ns / 240;
  for (const std::int64_t unit :
       {3600 * kSecond, 300 * kSecond, 60 * kSecond, 15 * kSecond, 5 * kSecond, kSecond}) {
    if (wanted >= unit) return wanted / unit * unit;
  }
  return kSecond;
}

void collect_pipelines(const Metrics& metrics, std::vector<const std::vector<Stage>*>& out) {
  if (metrics.kind == Metrics::Kind::kFunction) out.push_back(&metrics.pipeline);
  for (const Metrics& operand : metrics.operands) collect_pipelines(operand, out);
}

}  // namespace tarsier::tracing::traceql
