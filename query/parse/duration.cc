#include "query/parse/duration.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <fmt/format.h>

namespace tarsier::query {

namespace {

Status refuse(const DurationExpr& e, std::string_view why) {
  return invalid(fmt::format("{}:{}: {}", e.source.begin, e.source.end, why));
}

// Unlike std::fmin and std::fmax these pass NaN on.
double smaller(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::min(a, b);
}
double larger(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b);
}

/// The value in seconds.
Result<double> evaluate(const DurationExpr& e, const DurationContext& context) {
  const double left = e.left ? TRY(evaluate(*e.left, context)) : 0;
  const double right = e.right ? TRY(evaluate(*e.right, context)) : 0;
  switch (e.op) {
    case DurationOp::kNumber: return e.seconds;
    case DurationOp::kStep: return static_cast<double>(context.step.ms) / 1000;
    case DurationOp::kRange: return static_cast<double>(context.range.ms) / 1000;
    case DurationOp::kMinOf: return smaller(left, right);
    case DurationOp::kMaxOf: return larger(left, right);
    case DurationOp::kAdd: return left + right;
    case DurationOp::kSubtract: return left - right;
    case DurationOp::kMultiply: return left * right;
    case DurationOp::kDivide:
      if (right == 0) return refuse(e, "division by zero");
      return left / right;
    case DurationOp::kModulo:
      if (right == 0) return refuse(e, "modulo by zero");
      return std::fmod(left, right);
    case DurationOp::kPower: return std::pow(left, right);
    case DurationOp::kPlus: return left;
    case DurationOp::kMinus: return -left;
  }
  CHECK(false, "no such duration operation");
  return 0.0;
}

enum class Sign : std::uint8_t { kPositive, kAny };

Status resolve(DurationValue& value, Sign sign, const DurationContext& context) {
  if (!value.expression) return {};
  const double seconds = TRY(evaluate(*value.expression, context));
  constexpr double kSecondsMax = 9223372036854775808.0 / 1e9;  // 64 bits of nanoseconds.
  if (!std::isfinite(seconds)) return refuse(*value.expression, "duration is NaN or infinite");
  if (seconds <= 0 && sign == Sign::kPositive) {
    return refuse(*value.expression, "duration must be greater than 0");
  }
  if (std::abs(seconds) > kSecondsMax) return refuse(*value.expression, "duration is out of range");
  value.constant = Duration{static_cast<std::int64_t>(seconds * 1000)};
  return {};
}

}  // namespace

Status resolve_durations(Expr& root, const DurationContext& context) {
  switch (root.kind) {
    case ExprKind::kSelector:
      TRY(resolve(as<Selector>(root).shift.offset, Sign::kAny, context));
      break;
    case ExprKind::kRange: TRY(resolve(as<Range>(root).range, Sign::kPositive, context)); break;
    case ExprKind::kSubquery: {
      auto& subquery = as<Subquery>(root);
      TRY(resolve(subquery.shift.offset, Sign::kAny, context));
      TRY(resolve(subquery.step, Sign::kPositive, context));
      TRY(resolve(subquery.range, Sign::kPositive, context));
      break;
    }
    default: break;
  }
  for (Expr* child : children_of(root)) TRY(resolve_durations(*child, context));
  return {};
}

}  // namespace tarsier::query
