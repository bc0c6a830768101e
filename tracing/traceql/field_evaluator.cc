#include "tracing/traceql/field_evaluator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace tarsier::tracing::traceql {
namespace {

void set_error(Status& error, const char* text) {
  if (error.ok()) error = invalid(text);
}

bool is_nil_literal(const Field& field) {
  return field.kind == Field::Kind::kStatic && field.value.type == StaticType::kNil;
}

/// Wraps around, as integers of the language do.
std::int64_t wrapped(Op op, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a);
  const auto y = static_cast<std::uint64_t>(b);
  if (op == Op::kAdd) return static_cast<std::int64_t>(x + y);
  if (op == Op::kSubtract) return static_cast<std::int64_t>(x - y);
  return static_cast<std::int64_t>(x * y);
}

Value integral_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    return Value::of_float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t out = 1;
  for (std::int64_t factor = base; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) out = wrapped(Op::kMultiply, out, factor);
    factor = wrapped(Op::kMultiply, factor, factor);
  }
  return Value::of_int(out);
}

Value integral(Op op, Value a, Value b, Status& error) {
  const std::int64_t x = a.integer();
  const std::int64_t y = b.integer();
  const bool is_duration = a.type() == ValueType::kDuration || b.type() == ValueType::kDuration;
  if (op == Op::kPower) return integral_power(x, y);
  std::int64_t out = 0;
  if (op == Op::kDivide || op == Op::kModulo) {
    if (y == 0) {
      set_error(error, "division by zero");
      return {};
    }
    // The one quotient that does not fit.
    const bool overflows = x == std::numeric_limits<std::int64_t>::min() && y == -1;
    if (op == Op::kDivide) out = overflows ? x : x / y;
    if (op == Op::kModulo) out = overflows ? 0 : x % y;
  } else {
    out = wrapped(op, x, y);
  }
  return is_duration ? Value::of_duration(out) : Value::of_int(out);
}

Value fractional(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return Value::of_float(a + b);
    case Op::kSubtract: return Value::of_float(a - b);
    case Op::kMultiply: return Value::of_float(a * b);
    case Op::kDivide: return Value::of_float(a / b);
    case Op::kModulo: return Value::of_float(std::fmod(a, b));
    default: return Value::of_float(std::pow(a, b));
  }
}

}  // namespace

BoundField::BoundField(const Field& field, SpanSource& source) : kind_(field.kind), op_(field.op) {
  switch (kind_) {
    case Field::Kind::kStatic: literal_ = value_of(field.value); return;
    case Field::Kind::kAttribute:
      column_ = &source.column(field.attribute);
      if (field.attribute.of_parent) parents_ = source.parents();
      return;
    case Field::Kind::kUnary:
    case Field::Kind::kBinary: break;
  }
  if (field.regex) regex_ = &*field.regex;
  for (const Field& operand : field.operands) {
    tests_existence_ = tests_existence_ || is_nil_literal(operand);
    operands_.emplace_back(operand, source);
  }
}

Value BoundField::at(std::uint32_t row, Status& error) const {
  switch (kind_) {
    case Field::Kind::kStatic: return literal_;
    case Field::Kind::kAttribute:
      if (parents_.empty()) return column_->at(row);
      return parents_[row] == kNoRow ? Value() : column_->at(parents_[row]);
    case Field::Kind::kUnary: {
      const Value v = operands_[0].at(row, error);
      if (op_ == Op::kNot) {
        if (v.is_nil()) return Value::of_bool(false);
        if (v.type() == ValueType::kBool) return Value::of_bool(v.integer() == 0);
        set_error(error, "! needs true or false");
        return {};
      }
      if (v.is_nil()) return {};
      if (v.type() == ValueType::kFloat) return Value::of_float(-v.number());
      if (v.is_integral()) return integral(Op::kSubtract, Value::of_int(0), v, error);
      set_error(error, "- needs a number");
      return {};
    }
    case Field::Kind::kBinary: break;
  }
  const Value a = operands_[0].at(row, error);
  if (op_ == Op::kAnd) {
    return Value::of_bool(a.is_true() && operands_[1].at(row, error).is_true());
  }
  if (op_ == Op::kOr) return Value::of_bool(a.is_true() || operands_[1].at(row, error).is_true());
  return compute(a, operands_[1].at(row, error), error);
}

Value BoundField::compute(Value a, Value b, Status& error) const {
  if (tests_existence_) {
    const bool is_absent = a.is_nil() && b.is_nil();
    return Value::of_bool(is_absent == (op_ == Op::kEqual));
  }
  if (is_comparison(op_)) {
    if (a.type() == ValueType::kArray && b.type() == ValueType::kArray) {
      set_error(error, "two arrays cannot be compared");
      return {};
    }
    return Value::of_bool(holds(op_, a, b, regex_));
  }
  if (!a.is_numeric() || !b.is_numeric()) return {};
  if (a.is_integral() && b.is_integral()) return integral(op_, a, b, error);
  return fractional(op_, a.number(), b.number());
}

void collect_attributes(const Field& field, std::vector<Attribute>& out) {
  if (field.kind == Field::Kind::kAttribute &&
      std::find(out.begin(), out.end(), field.attribute) == out.end()) {
    out.push_back(field.attribute);
  }
  for (const Field& operand : field.operands) collect_attributes(operand, out);
}

}  // namespace tarsier::tracing::traceql
