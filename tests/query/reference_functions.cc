#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/regex.h"
#include "base/utf8.h"
#include "tests/query/reference_evaluator.h"

namespace tarsier::testing {

using query::as;
using query::Call;
using query::Expr;
using query::ExprKind;
using query::FunctionId;
using query::ValueType;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

const std::string& text_argument(const Call& c, std::size_t i) {
  return as<query::String>(query::without_parens(*c.arguments[i])).value;
}

bool is_label_name(const std::string& name) { return !name.empty() && is_valid_utf8(name); }

// Unlike std::min and std::max these give NaN if either is, unless the other decides alone.
double go_min(double a, double b) {
  if (a == -kInf || b == -kInf) return -kInf;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  return std::min(a, b);
}
double go_max(double a, double b) {
  if (a == kInf || b == kInf) return kInf;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  return std::max(a, b);
}

/// `le` as a number, in any form Go reads: nothing if it is none.
std::optional<double> bound_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return v;
}

bool has_counter_name(std::string_view name) {
  return name.ends_with("_total") || name.ends_with("_sum") || name.ends_with("_count") ||
         name.ends_with("_bucket");
}

Vector only_floats(Vector v) {
  std::erase_if(v, [](const Element& e) { return e.histogram != nullptr; });
  return v;
}

const Expr& range_argument(const Call& c) {
  for (const query::ExprPtr& argument : c.arguments) {
    if (argument->type == ValueType::kMatrix) return *argument;
  }
  CHECK(false, "a function over ranges has a range");
  return *c.arguments[0];
}

}  // namespace

Result<Vector> ReferenceEvaluator::call(const Call& c, const Moment& at) {
  if (c.function.id == FunctionId::kAbsent || c.function.id == FunctionId::kAbsentOverTime) {
    return absent(c, at);
  }
  for (const query::ExprPtr& argument : c.arguments) {
    if (argument->type == ValueType::kMatrix) return range_call(c, at);
  }
  if (is_value_function(c.function.id)) {
    if (c.arguments.empty()) {
      const double now = static_cast<double>(at.t.ms) / 1000;
      return Vector{{.labels = {}, .value = value_function(c.function.id, now)}};
    }
    Vector v = only_floats(TRY(vector(*c.arguments[0], at)));
    for (Element& e : v) {
      e.value = value_function(c.function.id, e.value);
      e = nameless(std::move(e));
    }
    return checked(std::move(v), at);
  }
  switch (c.function.id) {
    case FunctionId::kVector:
      return Vector{{.labels = {}, .value = TRY(scalar(*c.arguments[0], at))}};
    case FunctionId::kTimestamp: return checked(TRY(timestamps(c, at)), at);
    case FunctionId::kRound:
    case FunctionId::kClamp:
    case FunctionId::kClampMin:
    case FunctionId::kClampMax: return checked(TRY(clamped(c, at)), at);
    case FunctionId::kSort:
    case FunctionId::kSortDesc: return sorted(c, at);
    case FunctionId::kLabelReplace: return without_duplicates(TRY(label_replace(c, at)));
    case FunctionId::kLabelJoin: return without_duplicates(TRY(label_join(c, at)));
    case FunctionId::kHistogramAvg:
    case FunctionId::kHistogramCount:
    case FunctionId::kHistogramSum:
    case FunctionId::kHistogramStddev:
    case FunctionId::kHistogramStdvar: return checked(TRY(histogram_numbers(c, at)), at);
    case FunctionId::kHistogramQuantile:
    case FunctionId::kHistogramFraction: return checked(TRY(histogram_call(c, at)), at);
    default: return invalid("the oracle does not know " + std::string(c.function.name));
  }
}

Result<Vector> ReferenceEvaluator::range_call(const Call& c, const Moment& at) {
  if (!settings_.delays_name_removal && at.t == at.steps.start) {
    TRY(check_range_collisions(c, at));
  }
  const FunctionId id = c.function.id;
  const Expr& range = range_argument(c);
  // Annotations point to the first argument; a subquery there has no place.
  const Expr& first = query::without_parens(*c.arguments[0]);
  const query::SourceRange place =
      first.kind == query::ExprKind::kSubquery ? query::SourceRange{0, c.source.end} : first.source;
  std::vector<double> parameters;
  for (const query::ExprPtr& argument : c.arguments) {
    if (argument->type == ValueType::kScalar) parameters.push_back(TRY(scalar(*argument, at)));
  }
  const bool keeps_name = id == FunctionId::kLastOverTime || id == FunctionId::kFirstOverTime;
  Vector out;
  for (const Window& w : TRY(matrix(range, at))) {
    if (id == FunctionId::kQuantileOverTime && !w.samples.empty()) {
      annotator_.warn_quantile(parameters[0], {c.arguments[0]->source.begin, c.source.end});
    }
    const RangeOutcome outcome = range_value(c, w, parameters, at.t);
    const std::string_view name = w.labels.get(tsdb::kMetricName);
    for (const RangeOutcome::Remark& remark : outcome.remarks) {
      const std::string text = remark.text + (remark.names_metric ? quote(name) : "");
      if (remark.is_warning) {
        annotator_.warn(text, place);
      } else {
        annotator_.inform(text, place);
      }
    }
    if (!outcome.has_result()) continue;
    const bool wants_counter = id == FunctionId::kRate || id == FunctionId::kIncrease;
    if (wants_counter && outcome.value && !name.empty() && !has_counter_name(name)) {
      annotator_.inform(
          "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " +
              quote(name),
          place);
    }
    Element e = {.labels = w.labels,
                 .value = outcome.value.value_or(0),
                 .drops_name = w.drops_name,
                 .histogram = outcome.histogram};
    if (!keeps_name || w.drops_name) e = nameless(std::move(e));
    out.push_back(std::move(e));
  }
  return checked(std::move(out), at);
}

RangeOutcome ReferenceEvaluator::range_value(const Call& c, const Window& w,
                                             const std::vector<double>& parameters,
                                             Timestamp step_time) const {
  if (!w.histograms.empty()) {
    return mixed_range_function(c.function.id, w, parameters, step_time);
  }
  RangeOutcome outcome;
  outcome.value = range_function(c.function.id, w, parameters, step_time);
  return outcome;
}

/// With immediate name removal two series of one name collide even if they never have a value at
/// the same step.
Status ReferenceEvaluator::check_range_collisions(const Call& c, const Moment& at) {
  if (c.function.id == FunctionId::kLastOverTime || c.function.id == FunctionId::kFirstOverTime) {
    return {};
  }
  const Annotator before = annotator_;  // What is only tried is not told.
  std::set<tsdb::Labels> sources;
  for (Timestamp t = at.steps.start; t <= at.steps.end; t = t + at.steps.step) {
    std::vector<double> parameters;
    for (const query::ExprPtr& argument : c.arguments) {
      if (argument->type != ValueType::kScalar) continue;
      parameters.push_back(TRY(scalar(*argument, {t, at.steps})));
    }
    for (const Window& w : TRY(matrix(range_argument(c), {t, at.steps}))) {
      if (range_value(c, w, parameters, t).has_result()) sources.insert(w.labels);
    }
    if (at.steps.step.ms == 0) break;
  }
  annotator_ = before;
  std::set<tsdb::Labels> results;
  for (const tsdb::Labels& labels : sources) {
    if (!results.insert(without_metadata(labels)).second) return invalid(kSameLabelset);
  }
  return {};
}

Result<Vector> ReferenceEvaluator::timestamps(const Call& c, const Moment& at) {
  const Expr& argument = query::without_parens(*c.arguments[0]);
  Vector v;
  if (argument.kind == ExprKind::kSelector) {
    v = TRY(selected(as<query::Selector>(argument), at, true));
  } else {
    v = TRY(vector(argument, at));
    for (Element& e : v) {
      e.value = static_cast<double>(at.t.ms) / 1000;
      e.histogram = nullptr;
    }
  }
  for (Element& e : v) e = nameless(std::move(e));
  return v;
}

/// round and the clamps: functions of a value with scalars beside it.
Result<Vector> ReferenceEvaluator::clamped(const Call& c, const Moment& at) {
  const auto parameter = [&](std::size_t i) { return scalar(*c.arguments[i], at); };
  double lower = -kInf;
  double upper = kInf;
  double nearest = 1;
  switch (c.function.id) {
    case FunctionId::kClamp:
      lower = TRY(parameter(1));
      upper = TRY(parameter(2));
      break;
    case FunctionId::kClampMin: lower = TRY(parameter(1)); break;
    case FunctionId::kClampMax: upper = TRY(parameter(1)); break;
    default:
      if (c.arguments.size() > 1) nearest = TRY(parameter(1));
      break;
  }
  Vector v = only_floats(TRY(vector(*c.arguments[0], at)));
  if (upper < lower) return Vector();
  const double inverse = 1 / nearest;
  for (Element& e : v) {
    e.value = c.function.id == FunctionId::kRound ? std::floor(e.value * inverse + 0.5) / inverse
                                                  : go_max(lower, go_min(upper, e.value));
    e = nameless(std::move(e));
  }
  return v;
}

Result<Vector> ReferenceEvaluator::sorted(const Call& c, const Moment& at) {
  Vector v = only_floats(TRY(vector(*c.arguments[0], at)));
  if (!at.steps.has_one()) {
    annotator_.warn(
        "sort is ineffective for range queries since results are always ordered by labels",
        c.source);
    return v;
  }
  const bool descending = c.function.id == FunctionId::kSortDesc;
  std::ranges::stable_sort(v, [descending](const Element& a, const Element& b) {
    if (std::isnan(a.value)) return false;
    if (std::isnan(b.value)) return true;
    return descending ? a.value > b.value : a.value < b.value;
  });
  return v;
}

Result<Vector> ReferenceEvaluator::absent(const Call& c, const Moment& at) {
  const Expr& argument = query::without_parens(*c.arguments[0]);
  const query::Selector* selector = nullptr;
  if (argument.type == ValueType::kMatrix) {
    for (const Window& w : TRY(matrix(argument, at))) {
      if (!w.samples.empty() || !w.histograms.empty()) return Vector();
    }
    if (argument.kind == ExprKind::kRange) selector = as<query::Range>(argument).selector.get();
  } else {
    if (!TRY(vector(argument, at)).empty()) return Vector();
    if (argument.kind == ExprKind::kSelector) selector = &as<query::Selector>(argument);
  }
  tsdb::LabelsBuilder labels;
  std::set<std::string> seen;
  if (selector) {
    for (const tsdb::Matcher& m : selector->matchers) {
      if (m.name() == tsdb::kMetricName) continue;
      if (m.op() == tsdb::MatchOp::kEqual && !seen.contains(m.name())) {
        labels.set(m.name(), m.value());
        seen.insert(m.name());
      } else {
        labels.remove(m.name());
      }
    }
  }
  return Vector{{.labels = labels.build(), .value = 1}};
}

Result<Vector> ReferenceEvaluator::label_replace(const Call& c, const Moment& at) {
  const std::string& destination = text_argument(c, 1);
  const Result<Regex> regex = Regex::compile(text_argument(c, 4));
  if (!regex.ok()) {
    return invalid("invalid regular expression in label_replace(): " + text_argument(c, 4));
  }
  if (!is_label_name(destination)) {
    return invalid("invalid destination label name in label_replace(): " + destination);
  }
  Vector v = TRY(vector(*c.arguments[0], at));
  for (Element& e : v) {
    std::vector<std::string_view> groups;
    const std::string source(e.labels.get(text_argument(c, 3)));
    if (!regex->full_match(source, groups)) continue;
    tsdb::LabelsBuilder labels(e.labels);
    labels.set(destination, regex->expand(text_argument(c, 2), groups));
    e.labels = labels.build();
    if (destination == tsdb::kMetricName) e.drops_name = false;
  }
  return v;
}

Result<Vector> ReferenceEvaluator::label_join(const Call& c, const Moment& at) {
  const std::string& destination = text_argument(c, 1);
  for (std::size_t i = 3; i < c.arguments.size(); ++i) {
    if (is_label_name(text_argument(c, i))) continue;
    return invalid("invalid source label name in label_join(): " + text_argument(c, i));
  }
  if (!is_label_name(destination)) {
    return invalid("invalid destination label name in label_join(): " + destination);
  }
  Vector v = TRY(vector(*c.arguments[0], at));
  for (Element& e : v) {
    std::string joined;
    for (std::size_t i = 3; i < c.arguments.size(); ++i) {
      if (i > 3) joined += text_argument(c, 2);
      joined += e.labels.get(text_argument(c, i));
    }
    tsdb::LabelsBuilder labels(e.labels);
    labels.set(destination, joined);
    e.labels = labels.build();
    if (destination == tsdb::kMetricName) e.drops_name = false;
  }
  return v;
}

/// What annotations about histograms add: the name, where it is still there.
std::string ReferenceEvaluator::optional_metric(const Element& e) const {
  if (!settings_.delays_name_removal) return "";
  return std::string(e.labels.get(tsdb::kMetricName));
}

/// A number out of each native histogram.
Result<Vector> ReferenceEvaluator::histogram_numbers(const Call& c, const Moment& at) {
  Vector out;
  for (Element& e : TRY(vector(*c.arguments[0], at))) {
    if (e.histogram == nullptr) continue;
    const ReferenceHistogram& h = *e.histogram;
    switch (c.function.id) {
      case FunctionId::kHistogramCount: e.value = h.count; break;
      case FunctionId::kHistogramSum: e.value = h.sum; break;
      case FunctionId::kHistogramAvg: e.value = h.sum / h.count; break;
      case FunctionId::kHistogramStddev: e.value = std::sqrt(variance_of_histogram(h)); break;
      default: e.value = variance_of_histogram(h); break;
    }
    e.histogram = nullptr;
    // Type and unit stay, unless names go when the query ends.
    if (!settings_.delays_name_removal) e.labels = e.labels.drop({"__name__"});
    e.drops_name = true;
    out.push_back(std::move(e));
  }
  return out;
}

/// histogram_quantile and histogram_fraction, of classic histograms and native ones.
Result<Vector> ReferenceEvaluator::histogram_call(const Call& c, const Moment& at) {
  const bool is_quantile = c.function.id == FunctionId::kHistogramQuantile;
  const Expr& operand = *c.arguments.back();
  const double first = TRY(scalar(*c.arguments[0], at));
  const double second = is_quantile ? 0 : TRY(scalar(*c.arguments[1], at));
  if (is_quantile) {
    annotator_.warn_quantile(first, {c.arguments[0]->source.begin, c.source.end});
  }

  std::vector<std::pair<Element, std::vector<Bucket>>> histograms;
  Vector natives;
  for (Element& e : TRY(vector(operand, at))) {
    if (e.histogram != nullptr) {
      natives.push_back(std::move(e));
      continue;
    }
    const std::string le(e.labels.get("le"));
    const std::string metric = optional_metric(e);
    const std::optional<double> upper = bound_of(le);
    if (!upper) {
      annotator_.warn(
          fmt::format("bucket label \"le\" is missing or has a malformed value of {}{}", quote(le),
                      metric.empty() ? "" : " for metric name " + quote(metric)),
          operand.source);
      continue;
    }
    const double count = e.value;
    e.labels = e.labels.drop({"le"});
    auto found = histograms.begin();
    while (found != histograms.end() && found->first.labels != e.labels) ++found;
    if (found == histograms.end()) found = histograms.insert(found, {e, {}});
    found->second.push_back({.upper = *upper, .count = count});
  }
  Vector out;
  for (Element& e : natives) {
    const std::string metric = optional_metric(e);
    const std::string suffix = metric.empty() ? "" : " for metric name " + quote(metric);
    const auto same = std::ranges::find_if(
        histograms, [&](const auto& classic) { return classic.first.labels == e.labels; });
    if (same != histograms.end()) {
      annotator_.warn("vector contains a mix of classic and native histograms" + suffix,
                      operand.source);
      histograms.erase(same);
      continue;
    }
    std::string info;
    e.value = is_quantile ? quantile_of_histogram(first, *e.histogram, info)
                          : fraction_of_histogram(first, second, *e.histogram, info);
    if (!info.empty()) annotator_.inform(info + suffix, operand.source);
    e.histogram = nullptr;
    out.push_back(nameless(std::move(e)));
  }
  for (auto& [element, buckets] : histograms) {
    Element e = element;
    if (is_quantile) {
      std::optional<MonotonicityFix> fix;
      e.value = histogram_quantile_of(first, buckets, fix);
      if (fix) annotator_.inform_monotonicity(*fix, optional_metric(e), at.t, operand.source);
    } else {
      e.value = histogram_fraction_of(first, second, buckets);
    }
    out.push_back(nameless(std::move(e)));
  }
  return out;
}

}  // namespace tarsier::testing
