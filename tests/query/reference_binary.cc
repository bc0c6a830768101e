#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "tests/query/reference_evaluator.h"

namespace tarsier::testing {

using query::Binary;
using query::BinaryOp;
using query::Cardinality;
using query::ValueType;
using query::VectorMatching;

namespace {

/// The labels by which elements find each other.
tsdb::Labels signature_of(const tsdb::Labels& labels, const VectorMatching& m) {
  if (m.on) return labels.keep(m.labels);
  std::vector<std::string> ignored = m.labels;
  ignored.emplace_back(tsdb::kMetricName);
  return labels.drop(ignored);
}

tsdb::Labels result_labels(const Element& many, const Element& one, const Binary& b,
                           bool drops_name) {
  const VectorMatching& m = b.matching;
  tsdb::Labels labels = many.labels;
  if (query::is_arithmetic(b.op) || drops_name) labels = without_metadata(labels);
  if (m.cardinality == Cardinality::kOneToOne) {
    labels = m.on ? labels.keep(m.labels) : labels.drop(m.labels);
  }
  tsdb::LabelsBuilder builder(labels);
  for (const std::string& name : m.include) builder.set(name, one.labels.get(name));
  return builder.build();
}

std::string text_in_braces(const tsdb::Labels& labels) {
  std::string out = "{";
  for (const tsdb::LabelView& l : labels) {
    if (out.size() > 1) out += ", ";
    const std::string name(l.name);
    out +=
        fmt::format("{}={}", tsdb::is_legacy_label_name(name) ? name : quote(name), quote(l.value));
  }
  return out + "}";
}

}  // namespace

Result<Vector> ReferenceEvaluator::binary(const Binary& b, const Moment& at) {
  if (b.left->type == ValueType::kScalar || b.right->type == ValueType::kScalar) {
    return with_scalar(b, at);
  }
  Vector left = TRY(vector(*b.left, at));
  Vector right = TRY(vector(*b.right, at));
  if (query::is_set_operator(b.op)) return set_operation(b, left, right);
  return matched(b, std::move(left), std::move(right));
}

Result<Vector> ReferenceEvaluator::with_scalar(const Binary& b, const Moment& at) {
  const bool scalar_is_left = b.left->type == ValueType::kScalar;
  const Vector elements = TRY(vector(scalar_is_left ? *b.right : *b.left, at));
  const double number = TRY(scalar(scalar_is_left ? *b.left : *b.right, at));
  Vector out;
  for (const Element& element : elements) {
    const Element other{.value = number};
    const auto result = scalar_is_left ? combined(b, other, element) : combined(b, element, other);
    if (!result) continue;
    if (query::is_comparison(b.op) && !b.return_bool) {
      if (result->value != 0) out.push_back(element);
      continue;
    }
    Element computed = element;
    computed.value = result->value;
    computed.histogram = result->histogram;
    out.push_back(query::is_trim(b.op) ? computed : nameless(std::move(computed)));
  }
  tell_last(b);
  return out;
}

std::optional<ReferenceEvaluator::Combined> ReferenceEvaluator::combined(const Binary& b,
                                                                         const Element& left,
                                                                         const Element& right) {
  const HistogramPtr& l = left.histogram;
  const HistogramPtr& r = right.histogram;
  const auto made = [](ReferenceHistogram h) {
    return Combined{0, std::make_shared<const ReferenceHistogram>(std::move(h))};
  };
  const std::string op(query::text_of(b.op));
  if (!l && !r && !query::is_trim(b.op))
    return Combined{binary_value(b.op, left.value, right.value), nullptr};
  if (b.op == BinaryOp::kMultiply && (l == nullptr) != (r == nullptr)) {
    return made(compacted(l ? scaled(*l, right.value) : scaled(*r, left.value)));
  }
  if (l && !r && b.op == BinaryOp::kDivide) return made(compacted(divided(*l, right.value)));
  if (l && !r && query::is_trim(b.op)) {
    return made(trimmed(*l, right.value, b.op == BinaryOp::kTrimUpper));
  }
  if (l && r && (b.op == BinaryOp::kEqual || b.op == BinaryOp::kNotEqual)) {
    return Combined{are_equal(*l, *r) == (b.op == BinaryOp::kEqual) ? 1.0 : 0.0, l};
  }
  if (l && r && (b.op == BinaryOp::kAdd || b.op == BinaryOp::kSubtract)) {
    const bool adds = b.op == BinaryOp::kAdd;
    const std::string verb = adds ? "addition" : "subtraction";
    auto sum = added(*l, *r, adds ? 1 : -1);
    if (!sum) {
      last_remark_ = {"incompatible bucket layout encountered for binary operator " + op, true};
      return std::nullopt;
    }
    if (sum->collides) {
      last_remark_ = {"conflicting counter resets during histogram " + verb, true};
      return std::nullopt;
    }
    if (sum->reconciled) {
      last_remark_ = {"mismatched custom buckets were reconciled during " + verb, false};
    }
    if (!adds) sum->histogram.hint = tsdb::CounterResetHint::kGauge;
    return made(compacted(sum->histogram));
  }
  const auto kind = [](const HistogramPtr& h) { return h ? "histogram" : "float"; };
  last_remark_ = {
      fmt::format("incompatible sample types encountered for binary operator \"{}\": {} "
                  "{} {}",
                  op, kind(l), op, kind(r)),
      false};
  return std::nullopt;
}

void ReferenceEvaluator::tell_last(const Binary& b) {
  if (last_remark_.text.empty()) return;
  if (last_remark_.is_warning) {
    annotator_.warn(last_remark_.text, b.source);
  } else {
    annotator_.inform(last_remark_.text, b.source);
  }
  last_remark_ = {};
}

Vector ReferenceEvaluator::set_operation(const Binary& b, const Vector& left,
                                         const Vector& right) const {
  std::set<tsdb::Labels> left_signatures;
  std::set<tsdb::Labels> right_signatures;
  for (const Element& e : left) left_signatures.insert(signature_of(e.labels, b.matching));
  for (const Element& e : right) right_signatures.insert(signature_of(e.labels, b.matching));
  Vector out;
  for (const Element& e : left) {
    const bool has_partner = right_signatures.contains(signature_of(e.labels, b.matching));
    const bool stays = b.op == BinaryOp::kOr || (b.op == BinaryOp::kAnd) == has_partner;
    if (stays) out.push_back(e);
  }
  if (b.op != BinaryOp::kOr) return out;
  for (const Element& e : right) {
    if (!left_signatures.contains(signature_of(e.labels, b.matching))) out.push_back(e);
  }
  return out;
}

Result<Vector> ReferenceEvaluator::matched(const Binary& b, Vector left, Vector right) {
  const VectorMatching& m = b.matching;
  if (left.empty() || right.empty()) return Vector();
  const bool swapped = m.cardinality == Cardinality::kOneToMany;
  const Vector& many_side = swapped ? right : left;
  const Vector& one_side = swapped ? left : right;

  std::map<tsdb::Labels, const Element*> partners;
  for (const Element& one : one_side) {
    const tsdb::Labels signature = signature_of(one.labels, m);
    const auto [found, is_new] = partners.emplace(signature, &one);
    if (is_new) continue;
    std::string first = text_in_braces(found->second->labels);
    std::string second = text_in_braces(one.labels);
    if (second < first) std::swap(first, second);
    return invalid(fmt::format(
        "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, "
        "{}];many-to-many matching not allowed: matching labels must be unique on one side",
        text_in_braces(signature), swapped ? "left" : "right", first, second));
  }

  Vector out;
  std::set<tsdb::Labels> matched_signatures;
  std::map<tsdb::Labels, std::set<tsdb::Labels>> results_by_signature;
  for (const Element& many : many_side) {
    const tsdb::Labels signature = signature_of(many.labels, m);
    const auto partner = partners.find(signature);
    if (partner == partners.end()) continue;
    const Element& one = *partner->second;
    const Element& l = swapped ? one : many;
    const auto outcome = combined(b, l, swapped ? many : one);
    if (!outcome) continue;
    Element result;
    result.labels = result_labels(many, one, b, b.return_bool && !settings_.delays_name_removal);
    result.drops_name = b.return_bool;
    if (m.cardinality == Cardinality::kOneToOne) {
      if (!matched_signatures.insert(signature).second) {
        return invalid(
            "multiple matches for labels: many-to-one matching must be explicit "
            "(group_left/group_right)");
      }
    } else if (!results_by_signature[signature].insert(result.labels).second) {
      return invalid("multiple matches for labels: grouping labels must ensure unique matches");
    }
    const bool filters = query::is_comparison(b.op) && !b.return_bool;
    if (filters && outcome->value == 0) continue;
    result.value = filters ? l.value : outcome->value;
    if (!b.return_bool) result.histogram = filters ? l.histogram : outcome->histogram;
    out.push_back(std::move(result));
  }
  tell_last(b);
  return out;
}

}  // namespace tarsier::testing
