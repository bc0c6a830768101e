#include "query/plan/step_invariant.h"

#include <algorithm>

namespace tarsier::query {
namespace {

/// Functions whose value depends on the step's time, whatever their arguments.
bool depends_on_time(FunctionId id) {
  switch (id) {
    case FunctionId::kTime:
    case FunctionId::kMinute:
    case FunctionId::kHour:
    case FunctionId::kDayOfWeek:
    case FunctionId::kDayOfMonth:
    case FunctionId::kDayOfYear:
    case FunctionId::kDaysInMonth:
    case FunctionId::kMonth:
    case FunctionId::kYear:
    case FunctionId::kPredictLinear:
    case FunctionId::kTimestamp: return true;
    default: return false;
  }
}

bool is_worth_wrapping(const Expr& e) {
  const ExprKind kind = without_parens(e).kind;
  return e.type != ValueType::kMatrix && kind != ExprKind::kNumber && kind != ExprKind::kString;
}

ExprPtr wrapped(ExprPtr e) {
  if (!is_worth_wrapping(*e)) return e;
  const SourceRange source = e->source;
  auto wrapper = std::make_unique<StepInvariant>(std::move(e));
  wrapper->source = source;
  return wrapper;
}

/// Whether `e` is the same at every step. Where it is not, its parts that are get wrapped.
bool visit(ExprPtr& e);

/// Visits children that are one's own only together: all or none invariant.
bool visit_all(std::vector<ExprPtr*> children) {
  std::vector<bool> invariant;
  for (ExprPtr* child : children) invariant.push_back(visit(*child));
  if (std::find(invariant.begin(), invariant.end(), false) == invariant.end()) return true;
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (invariant[i]) *children[i] = wrapped(std::move(*children[i]));
  }
  return false;
}

bool visit_call(Call& call) {
  std::vector<ExprPtr*> children;
  for (ExprPtr& argument : call.arguments) children.push_back(&argument);
  if (call.function.id == FunctionId::kTimestamp) {
    // On a selector itself it gives the sample's time.
    const Expr& argument = without_parens(*call.arguments.front());
    if (argument.kind == ExprKind::kSelector)
      return static_cast<bool>(as<Selector>(argument).shift.at);
  }
  if (call.function.id == FunctionId::kInfo) {
    // The second argument is read at the times of the first, and only by the call itself.
    const bool is_invariant = visit(call.arguments.front());
    if (is_invariant && as<Selector>(*call.arguments.back()).shift.at) return true;
    if (is_invariant) call.arguments.front() = wrapped(std::move(call.arguments.front()));
    return false;
  }
  if (!depends_on_time(call.function.id)) return visit_all(std::move(children));
  for (ExprPtr* child : children) {
    if (visit(*child)) *child = wrapped(std::move(*child));
  }
  return false;
}

bool visit(ExprPtr& e) {
  switch (e->kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kStepInvariant: return true;
    case ExprKind::kSelector: return static_cast<bool>(as<Selector>(*e).shift.at);
    case ExprKind::kRange: return static_cast<bool>(as<Range>(*e).selector->shift.at);
    case ExprKind::kSubquery: {
      auto& subquery = as<Subquery>(*e);
      if (visit(subquery.inner)) subquery.inner = wrapped(std::move(subquery.inner));
      return static_cast<bool>(subquery.shift.at);
    }
    case ExprKind::kUnary: return visit(as<Unary>(*e).operand);
    case ExprKind::kParen: return visit(as<Paren>(*e).inner);
    case ExprKind::kBinary: {
      auto& binary = as<Binary>(*e);
      return visit_all({&binary.left, &binary.right});
    }
    // Only the operand decides: the parameter of an invariant one is read at the first step.
    case ExprKind::kAggregate: return visit(as<Aggregate>(*e).operand);
    case ExprKind::kCall: return visit_call(as<Call>(*e));
  }
  return false;
}

}  // namespace

ExprPtr wrap_step_invariants(ExprPtr root) {
  if (visit(root)) return wrapped(std::move(root));
  return root;
}

}  // namespace tarsier::query
