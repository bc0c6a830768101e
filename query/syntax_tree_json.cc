#include "query/syntax_tree_json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/number_text.h"

namespace tarsier::query {
namespace {

void write_strings(JsonWriter& json, const std::vector<std::string>& strings) {
  json.begin_array();
  for (const std::string& text : strings) json.value(text);
  json.end_array();
}

// Durations.

std::string_view text_of_operation(DurationOp op) {
  switch (op) {
    case DurationOp::kNumber: break;
    case DurationOp::kStep: return "step";
    case DurationOp::kRange: return "range";
    case DurationOp::kMinOf: return "min_of";
    case DurationOp::kMaxOf: return "max_of";
    case DurationOp::kPlus:
    case DurationOp::kAdd: return "+";
    case DurationOp::kMinus:
    case DurationOp::kSubtract: return "-";
    case DurationOp::kMultiply: return "*";
    case DurationOp::kDivide: return "/";
    case DurationOp::kModulo: return "%";
    case DurationOp::kPower: return "^";
  }
  CHECK(false, "a number is no operation");
  return "";
}

void write_duration_expression(JsonWriter& json, const DurationExpr* d) {
  if (d == nullptr) {
    json.null();
    return;
  }
  json.begin_object();
  if (d->op == DurationOp::kNumber) {
    // In parentheses it is what a plus applies to.
    if (d->in_parens) json.key("lhs").null().field("op", "+").key("rhs").begin_object();
    json.field("duration", d->is_duration).field("type", "numberLiteral");
    json.field("val", plain_number(d->seconds)).end_object();
    if (d->in_parens) json.field("type", "durationExpr").field("wrapped", true).end_object();
    return;
  }
  // The operand of a sign is its right side.
  const bool is_sign = d->op == DurationOp::kMinus || d->op == DurationOp::kPlus;
  json.key("lhs");
  write_duration_expression(json, is_sign ? nullptr : d->left.get());
  json.field("op", text_of_operation(d->op)).key("rhs");
  write_duration_expression(json, is_sign ? d->left.get() : d->right.get());
  json.field("type", "durationExpr").field("wrapped", d->in_parens).end_object();
}

/// `"range": 300000, "rangeExpr": null`
void write_duration(JsonWriter& json, std::string_view name, const DurationValue& d) {
  json.field(name, d.expression ? std::int64_t{0} : d.constant.ms);
  json.key(std::string(name) + "Expr");
  write_duration_expression(json, d.expression.get());
}

// Selectors.

void write_anchor(JsonWriter& json, const AtModifier& at) {
  json.key("startOrEnd");
  switch (at.anchor) {
    case AtModifier::Anchor::kStart: json.value("start"); return;
    case AtModifier::Anchor::kEnd: json.value("end"); return;
    default: json.null();
  }
}

void write_time(JsonWriter& json, const AtModifier& at) {
  json.key("timestamp");
  if (at.anchor == AtModifier::Anchor::kTime) {
    json.value(at.time.ms);
  } else {
    json.null();
  }
}

void write_matchers(JsonWriter& json, const std::vector<tsdb::Matcher>& matchers) {
  static constexpr std::string_view kOps[] = {"=", "!=", "=~", "!~"};
  json.begin_array();
  for (const tsdb::Matcher& m : matchers) {
    json.begin_object().field("name", m.name());
    json.field("type", kOps[static_cast<std::size_t>(m.op())]);
    json.field("value", m.value()).end_object();
  }
  json.end_array();
}

/// With the range of the brackets behind it, or null.
void write_selector(JsonWriter& json, const Selector& s, const DurationValue* range) {
  json.field("anchored", s.anchored).key("matchers");
  write_matchers(json, s.matchers);
  json.field("name", s.name);
  write_duration(json, "offset", s.shift.offset);
  if (range != nullptr) write_duration(json, "range", *range);
  json.field("smoothed", s.smoothed);
  write_anchor(json, s.shift.at);
  write_time(json, s.shift.at);
  json.field("type", range == nullptr ? "vectorSelector" : "matrixSelector");
}

void write_subquery(JsonWriter& json, const Subquery& s) {
  json.key("expr");
  write_syntax_tree(json, *s.inner);
  write_duration(json, "offset", s.shift.offset);
  write_duration(json, "range", s.range);
  write_anchor(json, s.shift.at);
  write_duration(json, "step", s.step);
  write_time(json, s.shift.at);
  json.field("type", "subquery");
}

// Operators, aggregations and calls.

std::string_view cardinality_name(Cardinality cardinality) {
  switch (cardinality) {
    case Cardinality::kOneToOne: return "one-to-one";
    case Cardinality::kManyToOne: return "many-to-one";
    case Cardinality::kOneToMany: return "one-to-many";
    case Cardinality::kManyToMany: return "many-to-many";
  }
  CHECK(false, "no such cardinality");
  return "";
}

void write_fill(JsonWriter& json, std::string_view side, const std::optional<double>& fill) {
  json.key(side);
  if (fill) {
    json.value(*fill);
  } else {
    json.null();
  }
}

void write_matching(JsonWriter& json, const VectorMatching& m) {
  json.begin_object().field("card", cardinality_name(m.cardinality));
  json.key("fillValues").begin_object();
  write_fill(json, "lhs", m.fill_left);
  write_fill(json, "rhs", m.fill_right);
  json.end_object().key("include");
  write_strings(json, m.include);
  json.key("labels");
  write_strings(json, m.labels);
  json.field("on", m.on).end_object();
}

void write_binary(JsonWriter& json, const Binary& b) {
  json.field("bool", b.return_bool).key("lhs");
  write_syntax_tree(json, *b.left);
  json.key("matching");
  if (b.left->type == ValueType::kVector && b.right->type == ValueType::kVector) {
    write_matching(json, b.matching);
  } else {
    json.null();
  }
  json.field("op", text_of(b.op)).key("rhs");
  write_syntax_tree(json, *b.right);
  json.field("type", "binaryExpr");
}

void write_aggregate(JsonWriter& json, const Aggregate& a) {
  json.key("expr");
  write_syntax_tree(json, *a.operand);
  json.key("grouping");
  write_strings(json, a.grouping);
  json.field("op", text_of(a.op)).key("param");
  if (a.parameter) {
    write_syntax_tree(json, *a.parameter);
  } else {
    json.null();
  }
  json.field("type", "aggregation").field("without", a.without);
}

/// Prometheus lists one argument beyond the required ones where there may be more, and says how
/// many more: -1 for any number.
void write_function(JsonWriter& json, const FunctionSignature& f) {
  const bool is_fixed = f.argument_count_min == f.argument_count_max;
  const bool is_unlimited = f.argument_count_max == FunctionSignature::kUnlimitedArguments;
  const std::size_t listed = f.argument_count_min + (is_fixed ? 0u : 1u);
  json.begin_object().key("argTypes").begin_array();
  for (std::size_t i = 0; i < listed; ++i) json.value(internal_name(f.argument_type(i)));
  json.end_array().field("name", f.name).field("returnType", internal_name(f.return_type));
  json.field("variadic", is_unlimited ? -1 : f.argument_count_max - f.argument_count_min);
  json.end_object();
}

void write_call(JsonWriter& json, const Call& call) {
  json.key("args").begin_array();
  for (const ExprPtr& argument : call.arguments) write_syntax_tree(json, *argument);
  json.end_array().key("func");
  write_function(json, call.function);
  json.field("type", "call");
}

}  // namespace

void write_syntax_tree(JsonWriter& json, const Expr& e) {
  if (e.kind == ExprKind::kStepInvariant) {
    return write_syntax_tree(json, *as<StepInvariant>(e).inner);
  }
  json.begin_object();
  switch (e.kind) {
    case ExprKind::kNumber:
      json.field("type", "numberLiteral").field("val", plain_number(as<Number>(e).value));
      break;
    case ExprKind::kString:
      json.field("type", "stringLiteral").field("val", as<String>(e).value);
      break;
    case ExprKind::kSelector: write_selector(json, as<Selector>(e), nullptr); break;
    case ExprKind::kRange: write_selector(json, *as<Range>(e).selector, &as<Range>(e).range); break;
    case ExprKind::kSubquery: write_subquery(json, as<Subquery>(e)); break;
    case ExprKind::kUnary:
      json.key("expr");
      write_syntax_tree(json, *as<Unary>(e).operand);
      json.field("op", as<Unary>(e).op == UnaryOp::kMinus ? "-" : "+").field("type", "unaryExpr");
      break;
    case ExprKind::kBinary: write_binary(json, as<Binary>(e)); break;
    case ExprKind::kAggregate: write_aggregate(json, as<Aggregate>(e)); break;
    case ExprKind::kCall: write_call(json, as<Call>(e)); break;
    case ExprKind::kParen:
      json.key("expr");
      write_syntax_tree(json, *as<Paren>(e).inner);
      json.field("type", "parenExpr");
      break;
    case ExprKind::kStepInvariant: break;  // Passed through above.
  }
  json.end_object();
}

}  // namespace tarsier::query
