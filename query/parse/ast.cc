#include "query/parse/ast.h"

#include <algorithm>
#include <array>

namespace tarsier::query {

namespace {

TimeShift clone(const TimeShift& s) { return {.offset = query::clone(s.offset), .at = s.at}; }

std::unique_ptr<Selector> clone_selector(const Selector& s) {
  auto copy = std::make_unique<Selector>();
  copy->depth = s.depth;
  copy->source = s.source;
  copy->name = s.name;
  copy->matchers = s.matchers;
  copy->shift = clone(s.shift);
  copy->anchored = s.anchored;
  copy->smoothed = s.smoothed;
  copy->is_label_selector = s.is_label_selector;
  return copy;
}

ExprPtr clone_node(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber: {
      auto copy = std::make_unique<Number>(as<Number>(e).value);
      copy->is_duration = as<Number>(e).is_duration;
      return copy;
    }
    case ExprKind::kString: return std::make_unique<String>(as<String>(e).value);
    case ExprKind::kSelector: return clone_selector(as<Selector>(e));
    case ExprKind::kRange: {
      auto copy = std::make_unique<Range>();
      copy->selector = clone_selector(*as<Range>(e).selector);
      copy->range = clone(as<Range>(e).range);
      return copy;
    }
    case ExprKind::kSubquery: {
      const auto& s = as<Subquery>(e);
      auto copy = std::make_unique<Subquery>();
      copy->inner = clone(*s.inner);
      copy->range = clone(s.range);
      copy->step = clone(s.step);
      copy->has_step = s.has_step;
      copy->shift = clone(s.shift);
      return copy;
    }
    case ExprKind::kUnary:
      return std::make_unique<Unary>(as<Unary>(e).op, clone(*as<Unary>(e).operand));
    case ExprKind::kBinary: {
      const auto& b = as<Binary>(e);
      auto copy = std::make_unique<Binary>(b.op, clone(*b.left), clone(*b.right));
      copy->return_bool = b.return_bool;
      copy->matching = b.matching;
      return copy;
    }
    case ExprKind::kAggregate: {
      const auto& a = as<Aggregate>(e);
      auto copy = std::make_unique<Aggregate>(a.op);
      copy->without = a.without;
      copy->grouping = a.grouping;
      if (a.parameter) copy->parameter = clone(*a.parameter);
      copy->operand = clone(*a.operand);
      return copy;
    }
    case ExprKind::kCall: {
      auto copy = std::make_unique<Call>(as<Call>(e).function);
      for (const ExprPtr& argument : as<Call>(e).arguments) {
        copy->arguments.push_back(clone(*argument));
      }
      return copy;
    }
    case ExprKind::kParen: return std::make_unique<Paren>(clone(*as<Paren>(e).inner));
    case ExprKind::kStepInvariant:
      return std::make_unique<StepInvariant>(clone(*as<StepInvariant>(e).inner));
  }
  CHECK(false, "no such kind of expression");
  return nullptr;
}

std::unique_ptr<DurationExpr> clone_duration(const DurationExpr* d) {
  if (!d) return nullptr;
  auto copy = std::make_unique<DurationExpr>();
  copy->op = d->op;
  copy->seconds = d->seconds;
  copy->is_duration = d->is_duration;
  copy->in_parens = d->in_parens;
  copy->left = clone_duration(d->left.get());
  copy->right = clone_duration(d->right.get());
  copy->source = d->source;
  return copy;
}

}  // namespace

SourcePosition position_of(std::string_view query, std::uint32_t offset) {
  if (query.empty()) return {.line = 0, .column = 0};
  const std::string_view before = query.substr(0, offset);
  const std::size_t line_end = before.rfind('\n');
  const std::size_t line_begin = line_end == std::string_view::npos ? 0 : line_end + 1;
  return {.line = 1 + static_cast<std::uint32_t>(std::ranges::count(before, '\n')),
          .column = 1 + static_cast<std::uint32_t>(offset - line_begin)};
}

std::string_view text_of(BinaryOp op) {
  static constexpr std::array<std::string_view, 18> kTexts = {"+",   "-",     "*",     "/",  "%",
                                                              "^",   "atan2", "==",    "!=", "<",
                                                              "<=",  ">",     ">=",    "</", ">/",
                                                              "and", "or",    "unless"};
  static_assert(kTexts.size() == static_cast<std::size_t>(BinaryOp::kUnless) + 1);
  return kTexts[static_cast<std::size_t>(op)];
}

std::string_view text_of(AggregateOp op) {
  static constexpr std::array<std::string_view, 14> kTexts = {
      "sum",    "avg",  "count",   "min",          "max",      "group",  "stddev",
      "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"};
  static_assert(kTexts.size() == static_cast<std::size_t>(AggregateOp::kLimitRatio) + 1);
  return kTexts[static_cast<std::size_t>(op)];
}

const Expr& without_parens(const Expr& e) {
  const Expr* inner = &e;
  while (inner->kind == ExprKind::kParen) inner = as<Paren>(*inner).inner.get();
  return *inner;
}

std::vector<const Expr*> children_of(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kSelector: return {};
    case ExprKind::kRange: return {as<Range>(e).selector.get()};
    case ExprKind::kSubquery: return {as<Subquery>(e).inner.get()};
    case ExprKind::kUnary: return {as<Unary>(e).operand.get()};
    case ExprKind::kBinary: return {as<Binary>(e).left.get(), as<Binary>(e).right.get()};
    case ExprKind::kAggregate: {
      const auto& a = as<Aggregate>(e);
      if (a.parameter) return {a.parameter.get(), a.operand.get()};
      return {a.operand.get()};
    }
    case ExprKind::kCall: {
      std::vector<const Expr*> arguments;
      for (const ExprPtr& argument : as<Call>(e).arguments) arguments.push_back(argument.get());
      return arguments;
    }
    case ExprKind::kParen: return {as<Paren>(e).inner.get()};
    case ExprKind::kStepInvariant: return {as<StepInvariant>(e).inner.get()};
  }
  CHECK(false, "no such kind of expression");
  return {};
}

std::vector<Expr*> children_of(Expr& e) {
  std::vector<Expr*> mutable_children;
  for (const Expr* child : children_of(static_cast<const Expr&>(e))) {
    mutable_children.push_back(
        const_cast<Expr*>(child));  // A child of a mutable parent is mutable.
  }
  return mutable_children;
}

ExprPtr clone(const Expr& e) {
  ExprPtr copy = clone_node(e);
  copy->type = e.type;
  copy->depth = e.depth;
  copy->source = e.source;
  return copy;
}

DurationValue clone(const DurationValue& d) {
  return {.constant = d.constant, .expression = clone_duration(d.expression.get())};
}

}  // namespace tarsier::query
