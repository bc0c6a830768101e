#pragma once

#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

// How strongly operators bind, for the parser and the printer. `&&` and `||` bind alike.
inline constexpr int kLogicalPrecedence = 1;
inline constexpr int kComparisonPrecedence = 2;  ///< And every structural operator.
inline constexpr int kSumPrecedence = 3;
inline constexpr int kNotPrecedence = 4;
inline constexpr int kProductPrecedence = 5;
inline constexpr int kPowerPrecedence = 6;
inline constexpr int kNegatePrecedence = 7;

constexpr int precedence_of(Op op) {
  switch (op) {
    case Op::kAnd:
    case Op::kOr: return kLogicalPrecedence;
    case Op::kAdd:
    case Op::kSubtract: return kSumPrecedence;
    case Op::kNot: return kNotPrecedence;
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kModulo: return kProductPrecedence;
    case Op::kPower: return kPowerPrecedence;
    case Op::kNegate: return kNegatePrecedence;
    default: return kComparisonPrecedence;
  }
}

constexpr int precedence_of(Relation relation) {
  return relation <= Relation::kOr ? kLogicalPrecedence : kComparisonPrecedence;
}

}  // namespace tarsier::tracing::traceql
