#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "tests/query/reference_evaluator.h"

namespace tarsier::testing {

using query::Aggregate;
using query::AggregateOp;

namespace {

tsdb::Labels group_of(const tsdb::Labels& labels, const Aggregate& a) {
  if (!a.without) return labels.keep(a.grouping);
  std::vector<std::string> dropped = a.grouping;
  dropped.emplace_back(tsdb::kMetricName);
  return labels.drop(dropped);
}

/// Population variance by Welford, uncompensated; not a number from an infinite start on.
double variance(const std::vector<double>& values) {
  double count = 0;
  double mean = 0;
  double squares = 0;
  for (const double v : values) {
    count += 1;
    if (count == 1) {
      mean = v;
      squares = std::isfinite(v) ? 0 : std::nan("");
      continue;
    }
    const double difference = v - mean;
    mean += difference / count;
    squares += difference * (v - mean);
  }
  return squares / count;
}

double extreme(const std::vector<double>& values, bool is_max) {
  double best = values[0];
  for (const double v : values) {
    if (std::isnan(best) || (is_max ? v > best : v < best)) best = v;
  }
  return best;
}

double aggregate_values(AggregateOp op, const std::vector<double>& values, double parameter) {
  switch (op) {
    case AggregateOp::kSum: {
      CompensatedSum sum{.sum = values[0]};
      for (std::size_t i = 1; i < values.size(); ++i) sum.add(values[i]);
      return sum.value();
    }
    case AggregateOp::kAvg: return compensated_mean(values);
    case AggregateOp::kCount: return static_cast<double>(values.size());
    case AggregateOp::kMin: return extreme(values, false);
    case AggregateOp::kMax: return extreme(values, true);
    case AggregateOp::kGroup: return 1;
    case AggregateOp::kStdvar: return variance(values);
    case AggregateOp::kStddev: return std::sqrt(variance(values));
    case AggregateOp::kQuantile: return quantile_of(parameter, values);
    default: break;
  }
  CHECK(false, "not an aggregation to one value");
  return 0;
}

/// Groups in the order in which their first element comes.
struct Group {
  tsdb::Labels labels;
  std::vector<Element> elements;
  bool drops_name = false;
};

std::vector<Group> grouped(const Vector& elements, const Aggregate& a) {
  std::vector<Group> groups;
  for (const Element& e : elements) {
    const tsdb::Labels labels = group_of(e.labels, a);
    auto group = std::ranges::find(groups, labels, &Group::labels);
    if (group == groups.end()) {
      groups.push_back({.labels = labels, .elements = {}});
      group = groups.end() - 1;
    }
    group->elements.push_back(e);
    group->drops_name = group->drops_name || e.drops_name;
  }
  return groups;
}

}  // namespace

/// Of all quantiles asked for, only the worst are told.
void ReferenceEvaluator::warn_of_extremes(const std::vector<double>& quantiles,
                                          query::SourceRange where) {
  double lowest = 0;
  double highest = 1;
  for (const double q : quantiles) {
    if (std::isnan(q)) annotator_.warn_quantile(q, where);
    lowest = q < lowest ? q : lowest;
    highest = q > highest ? q : highest;
  }
  annotator_.warn_quantile(lowest, where);
  annotator_.warn_quantile(highest, where);
}

Result<Vector> ReferenceEvaluator::aggregate(const Aggregate& a, const Moment& at) {
  if (a.op == AggregateOp::kTopk || a.op == AggregateOp::kBottomk) return ranked(a, at);
  if (a.op == AggregateOp::kCountValues) return checked(TRY(counted_values(a, at)), at);
  double parameter = 0;
  std::vector<double> quantiles;
  if (a.op == AggregateOp::kQuantile) {
    quantiles = TRY(at_all_steps(*a.parameter, at));
    parameter = TRY(scalar(*a.parameter, at));
  }
  Vector elements = TRY(vector(*a.operand, at));
  if (a.op == AggregateOp::kQuantile) warn_of_extremes(quantiles, a.parameter->source);
  const bool totals = a.op == AggregateOp::kSum || a.op == AggregateOp::kAvg;
  if (!totals && a.op != AggregateOp::kCount && a.op != AggregateOp::kGroup) {
    elements = floats_of(a, std::move(elements));
  }
  Vector out;
  for (const Group& group : grouped(elements, a)) {
    const bool has_histograms = std::ranges::any_of(
        group.elements, [](const Element& e) { return e.histogram != nullptr; });
    if (totals && has_histograms) {
      auto total = mixed_total(a, group.elements);
      if (!total) continue;
      total->labels = group.labels;
      total->drops_name = group.drops_name;
      out.push_back(std::move(*total));
      continue;
    }
    std::vector<double> values;
    for (const Element& e : group.elements) values.push_back(e.value);
    out.push_back({.labels = group.labels,
                   .value = aggregate_values(a.op, values, parameter),
                   .drops_name = group.drops_name});
  }
  return out;
}

Vector ReferenceEvaluator::floats_of(const Aggregate& a, Vector elements) {
  const auto is_histogram = [](const Element& e) { return e.histogram != nullptr; };
  if (std::erase_if(elements, is_histogram) == 0) return elements;
  const bool is_ranking = a.op == AggregateOp::kTopk || a.op == AggregateOp::kBottomk;
  annotator_.inform("ignored histogram in " + std::string(query::text_of(a.op)) + " aggregation",
                    is_ranking ? a.source : a.operand->source);
  return elements;
}

std::optional<Element> ReferenceEvaluator::mixed_total(const Aggregate& a, const Vector& elements) {
  const query::SourceRange where = a.operand->source;
  std::vector<HistogramPtr> histograms;
  bool has_floats = false;
  bool is_lost = false;
  bool is_reconciled = false;
  for (const Element& e : elements) {
    if (is_lost) break;
    has_floats = has_floats || e.histogram == nullptr;
    // Behind a float nobody looks at histograms any more.
    if (e.histogram == nullptr || elements.front().histogram == nullptr) continue;
    histograms.push_back(e.histogram);
    const ReferenceTotal so_far = total_of(histograms, a.op == AggregateOp::kAvg);
    is_reconciled = is_reconciled || so_far.reconciled;
    if (so_far.histogram) continue;
    is_lost = true;
    annotator_.warn(
        "vector contains a mix of histograms with exponential and custom buckets schemas for "
        "metric name " +
            quote(e.labels.get(tsdb::kMetricName)),
        where);
  }
  if (is_reconciled) {
    annotator_.inform("mismatched custom buckets were reconciled during aggregation", where);
  }
  if (has_floats) {
    annotator_.warn("encountered a mix of histograms and floats for aggregation", where);
    return std::nullopt;
  }
  if (is_lost) return std::nullopt;
  const ReferenceTotal total = total_of(histograms, a.op == AggregateOp::kAvg);
  if (total.collides) {
    annotator_.warn("conflicting counter resets during histogram aggregation", where);
  }
  Element element;
  element.histogram = std::make_shared<const ReferenceHistogram>(compacted(*total.histogram));
  return element;
}

/// topk and bottomk.
Result<Vector> ReferenceEvaluator::ranked(const Aggregate& a, const Moment& at) {
  Vector elements = TRY(vector(*a.operand, at));
  const std::vector<double> all = TRY(at_all_steps(*a.parameter, at));
  const auto below_one = [](double k) { return k < 1; };
  if (std::ranges::all_of(all, below_one)) return Vector();
  for (const double k : all) {
    if (std::isnan(k)) return invalid("Parameter value is NaN");
  }
  for (const double k : all) {
    if (k <= -9223372036854775808.0) {
      return invalid(fmt::format("Scalar value {} underflows int64", short_number(k)));
    }
    if (k >= 9223372036854774784.0) {
      return invalid(fmt::format("Scalar value {} overflows int64", short_number(k)));
    }
  }
  const double k = TRY(scalar(*a.parameter, at));
  if (k < 1) return Vector();
  elements = floats_of(a, std::move(elements));
  const bool largest = a.op == AggregateOp::kTopk;
  const auto ranks_before = [largest](const Element& x, const Element& y) {
    if (std::isnan(x.value)) return false;
    if (std::isnan(y.value)) return true;
    return largest ? x.value > y.value : x.value < y.value;
  };
  Vector out;
  for (Group& group : grouped(elements, a)) {
    std::ranges::stable_sort(group.elements, ranks_before);
    const double count = std::min(std::trunc(k), static_cast<double>(group.elements.size()));
    group.elements.resize(static_cast<std::size_t>(count));
    // Over several steps the order of ranks is nothing anybody can see.
    if (!at.steps.has_one()) std::ranges::stable_sort(group.elements, {}, &Element::labels);
    out.insert(out.end(), group.elements.begin(), group.elements.end());
  }
  return out;
}

Result<Vector> ReferenceEvaluator::counted_values(const Aggregate& a, const Moment& at) {
  const std::string& name = query::as<query::String>(query::without_parens(*a.parameter)).value;
  if (name.empty() || !is_valid_utf8(name)) return invalid("invalid label name " + quote(name));
  std::vector<std::pair<tsdb::Labels, double>> counts;
  for (const Element& e : TRY(vector(*a.operand, at))) {
    tsdb::LabelsBuilder builder(e.labels);
    builder.set(name, e.histogram ? text_of_histogram(*e.histogram) : plain_number(e.value));
    tsdb::Labels labels = builder.build();
    if (a.without) {
      labels = group_of(labels, a);
    } else {
      std::vector<std::string> kept = a.grouping;
      kept.push_back(name);
      labels = labels.keep(kept);
    }
    const auto found = std::ranges::find(counts, labels, &std::pair<tsdb::Labels, double>::first);
    if (found == counts.end()) {
      counts.emplace_back(labels, 1);
    } else {
      found->second += 1;
    }
  }
  Vector out;
  for (const auto& [labels, count] : counts) out.push_back({.labels = labels, .value = count});
  return out;
}

}  // namespace tarsier::testing
