#include "query/parse/type_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"
#include "tsdb/labels.h"

namespace tarsier::query {

namespace {

using Problem = std::optional<TypeError>;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class TypeChecker final {
 public:
  explicit TypeChecker(std::string_view query) : query_(query) {}

  Problem check(Expr& e);

 private:
  Problem expect(Expr& e, ValueType want, std::string_view where);
  Problem check_aggregate(Aggregate& a);
  Problem check_binary(Binary& b);
  Problem check_matching(Binary& b);
  Problem check_call(Call& c);
  Problem check_argument_count(const Call& c);
  Problem check_info_selector(Call& c);
  Problem check_selector(const Selector& s);
  SourceRange operator_range(const Binary& b) const;

  const std::string_view query_;
};

Problem TypeChecker::check(Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString: return {};
    case ExprKind::kSelector: return check_selector(as<Selector>(e));
    case ExprKind::kAggregate: return check_aggregate(as<Aggregate>(e));
    case ExprKind::kBinary: return check_binary(as<Binary>(e));
    case ExprKind::kCall: return check_call(as<Call>(e));
    default: break;
  }
  for (Expr* child : children_of(e)) {
    if (Problem problem = check(*child)) return problem;
  }
  if (e.kind == ExprKind::kUnary) {
    const ValueType type = as<Unary>(e).operand->type;
    if (type != ValueType::kScalar && type != ValueType::kVector) {
      return TypeError{e.source,
                       fmt::format("unary expression only allowed on expressions of type scalar or "
                                   "instant vector, got \"{}\"",
                                   documented_name(type))};
    }
  }
  if (e.kind == ExprKind::kSubquery) {
    const ValueType type = as<Subquery>(e).inner->type;
    if (type != ValueType::kVector) {
      return TypeError{e.source,
                       fmt::format("subquery is only allowed on instant vector, got {} instead",
                                   internal_name(type))};
    }
  }
  return {};
}

Problem TypeChecker::expect(Expr& e, ValueType want, std::string_view where) {
  if (Problem problem = check(e)) return problem;
  if (e.type == want) return {};
  return TypeError{e.source, fmt::format("expected type {} in {}, got {}", documented_name(want),
                                         where, documented_name(e.type))};
}

Problem TypeChecker::check_aggregate(Aggregate& a) {
  if (Problem problem = expect(*a.operand, ValueType::kVector, "aggregation expression")) {
    return problem;
  }
  if (!a.parameter) return {};
  const bool takes_string = a.op == AggregateOp::kCountValues;
  return expect(*a.parameter, takes_string ? ValueType::kString : ValueType::kScalar,
                "aggregation parameter");
}

/// From the operator to the right operand, with modifiers and without the spaces around.
SourceRange TypeChecker::operator_range(const Binary& b) const {
  SourceRange range = {b.left->source.end, b.right->source.begin};
  while (range.begin < range.end && is_space(query_[range.begin])) ++range.begin;
  while (range.begin < range.end && is_space(query_[range.end - 1])) --range.end;
  return range;
}

Problem TypeChecker::check_binary(Binary& b) {
  if (Problem problem = check(*b.left)) return problem;
  if (Problem problem = check(*b.right)) return problem;
  const ValueType left = b.left->type;
  const ValueType right = b.right->type;

  if (b.return_bool && !is_comparison(b.op)) {
    return TypeError{operator_range(b), "bool modifier can only be used on comparison operators"};
  }
  if (is_comparison(b.op) && !b.return_bool && left == ValueType::kScalar &&
      right == ValueType::kScalar) {
    return TypeError{operator_range(b), "comparisons between scalars must use BOOL modifier"};
  }
  for (const std::string& label : b.matching.labels) {
    if (!b.matching.on) break;
    if (std::ranges::find(b.matching.include, label) == b.matching.include.end()) continue;
    return TypeError{
        operator_range(b),
        fmt::format("label {} must not occur in ON and GROUP clause at once", quote(label))};
  }
  for (const Expr* side : {b.left.get(), b.right.get()}) {
    if (side->type == ValueType::kScalar || side->type == ValueType::kVector) continue;
    return TypeError{side->source,
                     "binary expression must contain only scalar and instant vector types"};
  }
  return check_matching(b);
}

/// REQUIRES: both sides are scalars or instant vectors.
Problem TypeChecker::check_matching(Binary& b) {
  VectorMatching& matching = b.matching;
  const bool fills = matching.fill_left || matching.fill_right;
  const bool has_scalar = b.left->type == ValueType::kScalar || b.right->type == ValueType::kScalar;
  if (has_scalar) {
    if (!matching.labels.empty()) {
      return TypeError{b.source, "vector matching only allowed between instant vectors"};
    }
    if (fills) {
      return TypeError{b.source, "filling in missing series only allowed between instant vectors"};
    }
    if (is_set_operator(b.op)) {
      return TypeError{b.source,
                       fmt::format("set operator \"{}\" not allowed in binary scalar expression",
                                   text_of(b.op))};
    }
    matching = {};
    return {};
  }
  if (!is_set_operator(b.op)) return {};
  if (matching.cardinality != Cardinality::kOneToOne) {
    return TypeError{b.source,
                     fmt::format("no grouping allowed for \"{}\" operation", text_of(b.op))};
  }
  matching.cardinality = Cardinality::kManyToMany;
  if (fills) {
    return TypeError{b.source, "filling in missing series not allowed for set operators"};
  }
  return {};
}

Problem TypeChecker::check_argument_count(const Call& c) {
  const FunctionSignature& f = c.function;
  const std::size_t count = c.arguments.size();
  const auto wrong = [&](std::string_view how, std::size_t want) {
    return TypeError{c.source, fmt::format("expected {}{} argument(s) in call to \"{}\", got {}",
                                           how, want, f.name, count)};
  };
  if (f.argument_count_min == f.argument_count_max) {
    if (count != f.argument_count_min) return wrong("", f.argument_count_min);
    return {};
  }
  if (count < f.argument_count_min) return wrong("at least ", f.argument_count_min);
  if (f.argument_count_max != FunctionSignature::kUnlimitedArguments &&
      count > f.argument_count_max) {
    return wrong("at most ", f.argument_count_max);
  }
  return {};
}

/// The second argument of info() is written like a selector but only filters labels.
Problem TypeChecker::check_info_selector(Call& c) {
  Expr& argument = *c.arguments[1];
  if (argument.type != ValueType::kVector) {
    return TypeError{
        c.source, fmt::format("expected type {} in call to function \"info\", got {}",
                              documented_name(ValueType::kVector), documented_name(argument.type))};
  }
  if (argument.kind != ExprKind::kSelector) {
    return TypeError{argument.source, "expected label selectors only"};
  }
  auto& selector = as<Selector>(argument);
  if (!selector.name.empty()) {
    return TypeError{argument.source, "expected label selectors only, got vector selector instead"};
  }
  selector.is_label_selector = true;
  return {};
}

Problem TypeChecker::check_call(Call& c) {
  if (Problem problem = check_argument_count(c)) return problem;
  if (c.function.id == FunctionId::kInfo && c.arguments.size() > 1) {
    if (Problem problem = check_info_selector(c)) return problem;
  }
  const std::string where = fmt::format("call to function \"{}\"", c.function.name);
  for (std::size_t i = 0; i < c.arguments.size(); ++i) {
    if (Problem problem = expect(*c.arguments[i], c.function.argument_type(i), where)) {
      return problem;
    }
  }
  return {};
}

Problem TypeChecker::check_selector(const Selector& s) {
  if (!s.name.empty()) {
    for (std::size_t i = 0; i + 1 < s.matchers.size(); ++i) {
      if (s.matchers[i].name() != tsdb::kMetricName) continue;
      return TypeError{s.source, fmt::format("metric name must not be set twice: {} or {}",
                                             quote(s.name), quote(s.matchers[i].value()))};
    }
    return {};
  }
  if (s.is_label_selector) return {};
  const auto selects = [](const tsdb::Matcher& m) { return !m.matches_empty(); };
  if (std::ranges::any_of(s.matchers, selects)) return {};
  return TypeError{s.source, "vector selector must contain at least one non-empty matcher"};
}

}  // namespace

std::optional<TypeError> check_types(Expr& root, std::string_view query) {
  return TypeChecker(query).check(root);
}

}  // namespace tarsier::query
