#include "query/plan/fold_constants.h"

#include <optional>

#include "query/exec/binary_kernels.h"

namespace tarsier::query {
namespace {

std::optional<double> value_of(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber: return as<Number>(e).value;
    case ExprKind::kParen: return value_of(*as<Paren>(e).inner);
    case ExprKind::kUnary: {
      const auto value = value_of(*as<Unary>(e).operand);
      if (!value) return std::nullopt;
      return as<Unary>(e).op == UnaryOp::kMinus ? -*value : *value;
    }
    case ExprKind::kBinary: {
      const auto& binary = as<Binary>(e);
      if (is_trim(binary.op)) return std::nullopt;  // Refused when it is evaluated.
      const auto left = value_of(*binary.left);
      const auto right = left ? value_of(*binary.right) : std::nullopt;
      if (!right) return std::nullopt;
      double value = 0;
      binary_kernel(binary.op, Comparison::kBool)(&*left, &*right, 1, &value);
      return value;
    }
    default: return std::nullopt;
  }
}

void fold_inside(ExprPtr& e) {
  if (e->type == ValueType::kScalar && e->kind != ExprKind::kNumber) {
    if (const auto value = value_of(*e)) {
      auto number = std::make_unique<Number>(*value);
      number->source = e->source;
      e = std::move(number);
      return;
    }
  }
  switch (e->kind) {
    case ExprKind::kSubquery: return fold_inside(as<Subquery>(*e).inner);
    case ExprKind::kUnary: return fold_inside(as<Unary>(*e).operand);
    case ExprKind::kParen: return fold_inside(as<Paren>(*e).inner);
    case ExprKind::kBinary:
      fold_inside(as<Binary>(*e).left);
      fold_inside(as<Binary>(*e).right);
      return;
    case ExprKind::kAggregate:
      if (as<Aggregate>(*e).parameter) fold_inside(as<Aggregate>(*e).parameter);
      return fold_inside(as<Aggregate>(*e).operand);
    case ExprKind::kCall:
      for (ExprPtr& argument : as<Call>(*e).arguments) fold_inside(argument);
      return;
    default: return;
  }
}

}  // namespace

ExprPtr fold_constants(ExprPtr root) {
  fold_inside(root);
  return root;
}

}  // namespace tarsier::query
