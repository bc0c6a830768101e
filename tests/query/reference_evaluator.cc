#include "tests/query/reference_evaluator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

namespace tarsier::testing {

using query::as;
using query::Expr;
using query::ExprKind;
using query::FunctionId;

namespace {

double seconds_of(Timestamp t) { return static_cast<double>(t.ms) / 1000; }

/// The smallest multiple of `step` greater than `t`.
Timestamp next_multiple(Timestamp t, Duration step) {
  Timestamp multiple{step.ms * (t.ms / step.ms)};
  while (multiple <= t) multiple = multiple + step;
  return multiple;
}

}  // namespace

tsdb::Labels without_metadata(const tsdb::Labels& labels) {
  return labels.drop({"__name__", "__type__", "__unit__"});
}

bool is_step_invariant(const Expr& e) {
  const auto all = [&e] {
    return std::ranges::all_of(query::children_of(e),
                               [](const Expr* child) { return is_step_invariant(*child); });
  };
  switch (e.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString: return true;
    case ExprKind::kSelector: return static_cast<bool>(as<query::Selector>(e).shift.at);
    case ExprKind::kSubquery: return static_cast<bool>(as<query::Subquery>(e).shift.at);
    case ExprKind::kAggregate: return is_step_invariant(*as<query::Aggregate>(e).operand);
    case ExprKind::kCall:
      switch (as<query::Call>(e).function.id) {
        case FunctionId::kTime:
        case FunctionId::kMinute:
        case FunctionId::kHour:
        case FunctionId::kDayOfWeek:
        case FunctionId::kDayOfMonth:
        case FunctionId::kDayOfYear:
        case FunctionId::kDaysInMonth:
        case FunctionId::kMonth:
        case FunctionId::kYear:
        case FunctionId::kPredictLinear: return false;
        case FunctionId::kTimestamp:
          return all() && query::without_parens(*as<query::Call>(e).arguments[0]).kind ==
                              ExprKind::kSelector;
        default: return all();
      }
    default: return all();
  }
}

Timestamp ReferenceEvaluator::data_time(const query::TimeShift& shift, Timestamp t) const {
  switch (shift.at.anchor) {
    case query::AtModifier::Anchor::kNone: break;
    case query::AtModifier::Anchor::kTime: t = shift.at.time; break;
    case query::AtModifier::Anchor::kStart: t = request_.start; break;
    case query::AtModifier::Anchor::kEnd: t = request_.end; break;
  }
  return t - shift.offset.constant;
}

Result<const std::vector<ReferenceEvaluator::Series>*> ReferenceEvaluator::series_of(
    const query::Selector& s) {
  const auto [found, is_new] = series_.try_emplace(&s);
  if (!is_new) return &found->second;
  const auto set = TRY(querier_.select(s.matchers, {}, nullptr));
  for (std::size_t i = 0; i < set->size(); ++i) {
    Series series{.labels = set->labels(i), .samples = {}};
    tsdb::SampleColumns columns;
    tsdb::HistogramColumns histograms;
    TRY(set->read_mixed(i, {}, columns, histograms));
    for (std::size_t k = 0; k < columns.size(); ++k) {
      series.samples.push_back({Timestamp{columns.times_ms[k]}, columns.values[k]});
    }
    for (std::size_t k = 0; k < histograms.size(); ++k) {
      series.histograms.push_back(
          {Timestamp{histograms.times_ms[k]}, reference_of(histograms.at(k))});
    }
    found->second.push_back(std::move(series));
  }
  return &found->second;
}

void ReferenceEvaluator::look_at(const Expr& e, bool asks_statistics, bool needs_buckets) {
  if (e.kind == ExprKind::kSelector && asks_statistics && !needs_buckets) {
    statistics_only_.insert(&as<query::Selector>(e));
  }
  if (e.kind == ExprKind::kRange) {
    return look_at(*as<query::Range>(e).selector, asks_statistics, needs_buckets);
  }
  if (e.kind == ExprKind::kSubquery) needs_buckets = true;
  if (e.kind == ExprKind::kBinary && query::is_trim(as<query::Binary>(e).op)) needs_buckets = true;
  if (e.kind == ExprKind::kCall) {
    const std::string name(as<query::Call>(e).function.name);
    if (name == "histogram_count" || name == "histogram_sum" || name == "histogram_avg") {
      asks_statistics = true;
    } else if (name.starts_with("histogram_quantile") || name == "histogram_fraction") {
      needs_buckets = true;
    }
  }
  for (const Expr* child : query::children_of(e)) look_at(*child, asks_statistics, needs_buckets);
}

/// Histogram i as the query sees it when it reads from `begin` on: where only count and sum count,
/// it has no buckets, and what they said about resets is in its hint.
HistogramPtr ReferenceEvaluator::seen(const query::Selector& s, const Series& series, std::size_t i,
                                      Timestamp begin) const {
  const HistogramPtr& h = series.histograms[i].histogram;
  if (!statistics_only_.contains(&s)) return h;
  auto plain = std::make_shared<ReferenceHistogram>();
  plain->schema = h->schema;
  plain->count = h->count;
  plain->sum = h->sum;
  plain->hint = h->hint;
  for (std::size_t k = i; k-- > 0 && series.histograms[k].t > begin;) {
    const HistogramPtr& previous = series.histograms[k].histogram;
    if (tsdb::is_stale_marker(previous->sum)) continue;
    if (h->hint == tsdb::CounterResetHint::kUnknown) {
      plain->hint = is_counter_reset(*previous, *h) ? tsdb::CounterResetHint::kReset
                                                    : tsdb::CounterResetHint::kNotReset;
    }
    break;
  }
  return plain;
}

/// The newest sample of each series in (r - lookback, r], unless it is a stale marker.
Result<Vector> ReferenceEvaluator::selected(const query::Selector& s, const Moment& at,
                                            bool takes_time) {
  const Timestamp r = data_time(s.shift, at.t);
  const Timestamp begin = data_time(s.shift, at.steps.start) - settings_.lookback;
  const auto inside = [&](Timestamp t) { return t > r - settings_.lookback && t <= r; };
  Vector out;
  for (const Series& series : *TRY(series_of(s))) {
    Element newest{.labels = series.labels};
    std::optional<Timestamp> time;
    for (const tsdb::Sample& sample : series.samples) {
      if (!inside(sample.t)) continue;
      time = sample.t;
      newest.value = sample.v;
    }
    for (std::size_t i = 0; i < series.histograms.size(); ++i) {
      const Timestamp t = series.histograms[i].t;
      if (!inside(t) || (time && t < *time)) continue;
      time = t;
      newest.histogram = seen(s, series, i, begin);
    }
    if (!time) continue;
    if (tsdb::is_stale_marker(newest.histogram ? newest.histogram->sum : newest.value)) continue;
    if (takes_time) {
      newest.histogram = nullptr;
      newest.value = seconds_of(*time);
    }
    out.push_back(std::move(newest));
  }
  return out;
}

Result<std::vector<Window>> ReferenceEvaluator::windows(const query::Range& r, const Moment& at) {
  const Timestamp end = data_time(r.selector->shift, at.t);
  const Timestamp start = end - r.range.constant;
  std::vector<Window> out;
  for (const Series& series : *TRY(series_of(*r.selector))) {
    Window w{.labels = series.labels, .start = start, .end = end, .samples = {}};
    for (const tsdb::Sample& sample : series.samples) {
      const bool inside = sample.t > start && sample.t <= end;
      if (inside && !tsdb::is_stale_marker(sample.v)) w.samples.push_back(sample);
    }
    const Timestamp begin = data_time(r.selector->shift, at.steps.start) - r.range.constant;
    for (std::size_t i = 0; i < series.histograms.size(); ++i) {
      const HistogramSample& sample = series.histograms[i];
      if (sample.t <= start || sample.t > end) continue;
      if (tsdb::is_stale_marker(sample.histogram->sum)) continue;
      w.histograms.push_back({sample.t, seen(*r.selector, series, i, begin)});
    }
    out.push_back(std::move(w));
  }
  return out;
}

Result<std::vector<Window>> ReferenceEvaluator::subquery(const query::Subquery& s,
                                                         const Moment& at) {
  const Duration step = s.has_step ? s.step.constant : settings_.subquery_step;
  if (step.ms <= 0) return invalid("subquery step below a millisecond");
  const Timestamp end = data_time(s.shift, at.t);
  const Timestamp start = end - s.range.constant;
  // All steps of the parent see one grid of inner steps.
  Timestamp last_parent = at.steps.start;
  if (at.steps.step.ms > 0) {
    const std::int64_t count = (at.steps.end - at.steps.start).ms / at.steps.step.ms;
    last_parent = at.steps.start + Duration{count * at.steps.step.ms};
  }
  const Steps steps = {
      .start = next_multiple(data_time(s.shift, at.steps.start) - s.range.constant, step),
      .end = data_time(s.shift, last_parent),
      .step = step};
  std::map<tsdb::Labels, Window> by_labels;
  for (Timestamp t = next_multiple(start, step); t <= end; t = t + step) {
    const Vector inner = TRY(vector(*s.inner, {t, steps}));
    for (const Element& element : inner) {
      Window& w = by_labels[element.labels];
      w.labels = element.labels;
      w.drops_name = element.drops_name;
      w.start = start;
      w.end = end;
      if (element.histogram == nullptr) {
        w.samples.push_back({t, element.value});
        continue;
      }
      auto h = std::make_shared<ReferenceHistogram>(*element.histogram);
      if (h->hint != tsdb::CounterResetHint::kGauge) h->hint = tsdb::CounterResetHint::kUnknown;
      w.histograms.push_back({t, std::move(h)});
    }
  }
  std::vector<Window> out;
  for (auto& [labels, w] : by_labels) out.push_back(std::move(w));
  return out;
}

Result<std::vector<Window>> ReferenceEvaluator::matrix(const Expr& e, const Moment& at) {
  const Expr& inner = query::without_parens(e);
  if (inner.kind == ExprKind::kRange) return windows(as<query::Range>(inner), at);
  return subquery(as<query::Subquery>(inner), at);
}

Result<double> ReferenceEvaluator::scalar(const Expr& e, const Moment& at) {
  switch (e.kind) {
    case ExprKind::kNumber: return as<query::Number>(e).value;
    case ExprKind::kParen: return scalar(*as<query::Paren>(e).inner, at);
    case ExprKind::kUnary: {
      const double v = TRY(scalar(*as<query::Unary>(e).operand, at));
      return as<query::Unary>(e).op == query::UnaryOp::kMinus ? -v : v;
    }
    case ExprKind::kBinary: {
      const auto& b = as<query::Binary>(e);
      const double left = TRY(scalar(*b.left, at));
      const double right = TRY(scalar(*b.right, at));
      if (query::is_trim(b.op)) {
        return invalid("operator \"" + std::string(query::text_of(b.op)) +
                       "\" not allowed for Scalar operations");
      }
      return binary_value(b.op, left, right);
    }
    default: break;
  }
  const auto& c = as<query::Call>(e);
  switch (c.function.id) {
    case FunctionId::kTime: return seconds_of(at.t);
    case FunctionId::kPi: return 3.14159265358979323846;
    case FunctionId::kScalar: {
      Vector v = TRY(vector(*c.arguments[0], at));
      std::erase_if(v, [](const Element& element) { return element.histogram != nullptr; });
      return v.size() == 1 ? v[0].value : std::numeric_limits<double>::quiet_NaN();
    }
    default: return invalid("the oracle does not know " + std::string(c.function.name));
  }
}

Result<Vector> ReferenceEvaluator::vector(const Expr& e, const Moment& at) {
  if (!at.steps.has_one() && is_step_invariant(e)) {
    // Evaluated once, at the first step: what may differ by step is then read there.
    const Timestamp first = at.steps.start;
    return vector(e, {.t = first, .steps = {.start = first, .end = first, .step = Duration{0}}});
  }
  switch (e.kind) {
    case ExprKind::kParen: return vector(*as<query::Paren>(e).inner, at);
    case ExprKind::kSelector: return selected(as<query::Selector>(e), at, false);
    case ExprKind::kUnary: return negated(as<query::Unary>(e), at);
    case ExprKind::kBinary: return checked(TRY(binary(as<query::Binary>(e), at)), at);
    case ExprKind::kAggregate: return aggregate(as<query::Aggregate>(e), at);
    default: return call(as<query::Call>(e), at);
  }
}

Result<Vector> ReferenceEvaluator::final_vector(const Expr& e, const Moment& at) {
  Vector v = TRY(vector(e, at));
  for (Element& element : v) {
    if (element.drops_name) element.labels = without_metadata(element.labels);
  }
  return without_duplicates(std::move(v));
}

Result<Vector> ReferenceEvaluator::negated(const query::Unary& u, const Moment& at) {
  Vector v = TRY(vector(*u.operand, at));
  if (u.op == query::UnaryOp::kPlus) return v;
  for (Element& element : v) {
    element.value = -element.value;
    if (element.histogram != nullptr) {
      element.histogram = std::make_shared<ReferenceHistogram>(scaled(*element.histogram, -1));
    }
    element = nameless(std::move(element));
  }
  return without_duplicates(std::move(v));
}

Element ReferenceEvaluator::nameless(Element element) const {
  if (!settings_.delays_name_removal) element.labels = without_metadata(element.labels);
  element.drops_name = true;
  return element;
}

Result<Vector> ReferenceEvaluator::without_duplicates(Vector v) const {
  std::set<tsdb::Labels> seen;
  for (const Element& element : v) {
    if (!seen.insert(element.labels).second) return invalid(kSameLabelset);
  }
  return v;
}

/// What operators and functions give. An instant query with delayed name removal is only checked
/// at its end.
Result<Vector> ReferenceEvaluator::checked(Vector v, const Moment& at) const {
  if (at.steps.has_one() && settings_.delays_name_removal) return v;
  return without_duplicates(std::move(v));
}

Result<std::vector<double>> ReferenceEvaluator::at_all_steps(const Expr& parameter,
                                                             const Moment& at) {
  std::vector<double> values;
  for (Timestamp t = at.steps.start; t <= at.steps.end; t = t + at.steps.step) {
    values.push_back(TRY(scalar(parameter, {t, at.steps})));
    if (at.steps.step.ms == 0) break;
  }
  return values;
}

}  // namespace tarsier::testing
