#include "tracing/traceql/value.h"

#include <algorithm>
#include <cmath>

#include "base/number_text.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing::traceql {
namespace {

template <typename T>
bool ordered(Op op, const T& a, const T& b) {
  switch (op) {
    case Op::kEqual: return a == b;
    case Op::kNotEqual: return a != b;
    case Op::kLess: return a < b;
    case Op::kLessEqual: return a <= b;
    case Op::kGreater: return a > b;
    case Op::kGreaterEqual: return a >= b;
    default: return false;
  }
}

bool holds_for_one(Op op, Value a, Value b, const Regex* regex) {
  if (op == Op::kRegex || op == Op::kNotRegex) {
    if (a.type() != ValueType::kString || regex == nullptr) return false;
    return regex->full_match(a.text()) == (op == Op::kRegex);
  }
  if (a.is_numeric() && b.is_numeric()) {
    if (a.is_integral() && b.is_integral()) return ordered(op, a.integer(), b.integer());
    return ordered(op, a.number(), b.number());
  }
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case ValueType::kString: return ordered(op, a.text(), b.text());
    case ValueType::kBool:
    case ValueType::kStatus:
    case ValueType::kKind:
      return (op == Op::kEqual || op == Op::kNotEqual) && ordered(op, a.integer(), b.integer());
    default: return false;
  }
}

}  // namespace

Value value_of(const Static& literal) {
  switch (literal.type) {
    case StaticType::kNil: return {};
    case StaticType::kBool: return Value::of_bool(literal.number != 0);
    case StaticType::kInt: return Value::of_int(literal.number);
    case StaticType::kFloat: return Value::of_float(literal.real);
    case StaticType::kString: return Value::of_text(literal.text);
    case StaticType::kDuration: return Value::of_duration(literal.number);
    case StaticType::kStatus: return Value::of_status(literal.number);
    case StaticType::kKind: return Value::of_kind(literal.number);
  }
  return {};
}

bool holds(Op op, Value a, Value b, const Regex* regex) {
  const bool a_is_array = a.type() == ValueType::kArray;
  if (!a_is_array && b.type() != ValueType::kArray) return holds_for_one(op, a, b, regex);
  const std::span<const Value> elements = a_is_array ? a.elements() : b.elements();
  const auto one = [&](Value element) {
    return a_is_array ? holds_for_one(op, element, b, regex) : holds_for_one(op, a, element, regex);
  };
  if (op == Op::kNotEqual || op == Op::kNotRegex) {
    return !elements.empty() && std::all_of(elements.begin(), elements.end(), one);
  }
  return std::any_of(elements.begin(), elements.end(), one);
}

bool is_same(Value a, Value b) { return !is_less(a, b) && !is_less(b, a); }

bool is_less(Value a, Value b) {
  if (a.type() != b.type()) return a.type() < b.type();
  switch (a.type()) {
    case ValueType::kNil: return false;
    case ValueType::kFloat: {
      if (std::isnan(a.number()) || std::isnan(b.number())) {
        return !std::isnan(a.number()) && std::isnan(b.number());
      }
      return a.number() < b.number();
    }
    case ValueType::kString: return a.text() < b.text();
    case ValueType::kArray:
      return std::lexicographical_compare(a.elements().begin(), a.elements().end(),
                                          b.elements().begin(), b.elements().end(), is_less);
    default: return a.integer() < b.integer();
  }
}

std::string display(Value value) {
  switch (value.type()) {
    case ValueType::kNil: return "nil";
    case ValueType::kBool: return value.integer() != 0 ? "true" : "false";
    case ValueType::kInt: return std::to_string(value.integer());
    case ValueType::kFloat: return short_number(value.number());
    case ValueType::kString: return std::string(value.text());
    case ValueType::kDuration: return go_duration(value.integer());
    case ValueType::kStatus: return std::string(status_text(value.integer()));
    case ValueType::kKind: return std::string(kind_text(value.integer()));
    case ValueType::kArray: break;
  }
  std::string out = "[";
  for (const Value element : value.elements()) {
    if (out.size() > 1) out += ", ";
    out += display(element);
  }
  return out + "]";
}

}  // namespace tarsier::tracing::traceql
