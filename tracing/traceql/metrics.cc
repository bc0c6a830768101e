#include "tracing/traceql/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tracing/traceql/metrics_state.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

/// Values of one attribute that compare() counts.
constexpr std::size_t kCompareValuesMax = 1000;
constexpr std::size_t kExemplarsPerSeries = 3;
/// Of a node of a map beside what it holds.
constexpr std::size_t kNodeBytes = 64;

/// A number for the functions over an attribute, durations in seconds; nothing for other types.
std::optional<double> measured(Value v) {
  if (v.type() == ValueType::kDuration) return v.number() / 1e9;
  if (v.is_numeric()) return v.number();
  return std::nullopt;
}

std::size_t byte_count(const SeriesLabels& labels) {
  std::size_t out = 0;
  for (const auto& [name, value] : labels)
    out += sizeof labels[0] + name.size() + value.text.size();
  return out;
}

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
  // Both sides of either are counted at once: that is the usual case.
  const std::size_t counts_bytes = 2 * range_.point_count() * sizeof(double);
  for (const Attribute& attribute : attributes) {
    const Value value = source.column(attribute).at(row);
    if (value.is_nil()) continue;
    auto found = node.compared.find(attribute);
    if (found == node.compared.end()) {
      if (!reserve(kNodeBytes + sizeof(Node::Compared) + counts_bytes + attribute.name.size())) {
        continue;
      }
      found = node.compared.try_emplace(attribute).first;
    }
    Node::Compared& compared = found->second;
    compared.totals[side].resize(range_.point_count());
    compared.totals[side][step] += 1;
    LabelValue label = label_of(value);
    auto counts = compared.values.find(label);
    if (counts == compared.values.end()) {
      if (compared.values.size() >= kCompareValuesMax ||
          !reserve(kNodeBytes + sizeof(LabelValue) + counts_bytes + label.text.size())) {
        compared.is_cut = true;
        continue;
      }
      counts = compared.values.try_emplace(std::move(label)).first;
    }
    counts->second[side].resize(range_.point_count());
    counts->second[side][step] += 1;
  }
}

bool MetricsCollector::reserve(std::size_t bytes) {
  if (bytes > range_.bytes_max - byte_count_) {
    is_partial_ = true;
    return false;
  }
  byte_count_ += bytes;
  return true;
}

namespace {

/// Of one series in one step, before its buckets.
std::size_t cell_bytes(MetricsFunction function) {
  const bool has_buckets = function == MetricsFunction::kQuantileOverTime;
  return sizeof(MetricsCell) + (has_buckets ? sizeof(ExponentialBuckets) : 0);
}

}  // namespace

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
  auto found = node.groups.find(labels);
  if (found == node.groups.end()) {
    if (node.groups.size() >= range_.series_max) {
      is_partial_ = true;
      return;
    }
    if (!reserve(kNodeBytes + sizeof(Accumulated) + byte_count(labels) +
                 range_.point_count() * cell_bytes(m.function))) {
      return;
    }
    found = node.groups.try_emplace(std::move(labels)).first;
    found->second.cells.resize(range_.point_count());
  }
  Accumulated& group = found->second;
  if (m.function == MetricsFunction::kQuantileOverTime) {
    group.buckets.resize(range_.point_count());
    ExponentialBuckets& buckets = group.buckets[step];
    if (!buckets.has_bucket_of(*value) && !reserve(ExponentialBuckets::kBucketBytes)) return;
    buckets.add(*value);
  }
  if (m.function == MetricsFunction::kHistogramOverTime) {
    group.has_durations = group.has_durations || argument.type() == ValueType::kDuration;
    const auto power = static_cast<std::int64_t>(std::ceil(std::log2(argument.number())));
    auto counts = group.powers.find(power);
    if (counts == group.powers.end()) {
      if (!reserve(kNodeBytes + range_.point_count() * sizeof(double))) return;
      counts = group.powers.try_emplace(power, range_.point_count()).first;
    }
    counts->second[step] += 1;
  }
  MetricsCell& cell = group.cells[step];
  cell.count += 1;
  if (value) {
    cell.sum += *value;
    cell.least = std::min(cell.least, *value);
    cell.greatest = std::max(cell.greatest, *value);
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
