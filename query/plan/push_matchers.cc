#include "query/plan/push_matchers.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tsdb/labels.h"

namespace tarsier::query {
namespace {

/// Labels with the value they are known to have.
using Known = std::map<std::string, std::string>;

bool is_listed(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Keeps the listed labels, or those not listed.
Known filtered(Known known, const std::vector<std::string>& names, bool keeps_listed) {
  std::erase_if(known,
                [&](const auto& label) { return is_listed(names, label.first) != keeps_listed; });
  return known;
}

/// The argument whose labels the result has, unchanged but for its name; null if there is none.
template <typename ExprType, typename CallType>
ExprType* labels_argument(CallType& call) {
  switch (call.function.id) {
    case FunctionId::kAbsent:
    case FunctionId::kAbsentOverTime:
    case FunctionId::kHistogramQuantile:
    case FunctionId::kHistogramQuantiles:
    case FunctionId::kHistogramFraction:
    case FunctionId::kInfo:
    case FunctionId::kLabelJoin:
    case FunctionId::kLabelReplace:
    case FunctionId::kScalar:
    case FunctionId::kVector: return nullptr;
    default: break;
  }
  ExprType* found = nullptr;
  for (const auto& argument : call.arguments) {
    if (argument->type != ValueType::kVector && argument->type != ValueType::kMatrix) continue;
    if (found != nullptr) return nullptr;
    found = argument.get();
  }
  return found;
}

Known known_of(const Selector& selector) {
  Known known;
  for (const tsdb::Matcher& m : selector.matchers) {
    if (m.op() != tsdb::MatchOp::kEqual || m.value().empty()) continue;
    if (m.name() != tsdb::kMetricName) known.emplace(m.name(), m.value());
  }
  return known;
}

bool names_metric(const Selector& selector) {
  return std::any_of(selector.matchers.begin(), selector.matchers.end(), [](const auto& m) {
    return m.op() == tsdb::MatchOp::kEqual && m.name() == tsdb::kMetricName && !m.value().empty();
  });
}

Known known_of(const Expr& e);

Known known_of_binary(const Binary& binary) {
  if (binary.left->type == ValueType::kScalar) return known_of(*binary.right);
  if (binary.right->type == ValueType::kScalar) return known_of(*binary.left);
  const VectorMatching& matching = binary.matching;
  switch (binary.op) {
    case BinaryOp::kAnd:
    case BinaryOp::kUnless: return known_of(*binary.left);
    case BinaryOp::kOr: {
      const Known right = known_of(*binary.right);
      Known known = known_of(*binary.left);
      std::erase_if(known, [&](const auto& label) {
        const auto it = right.find(label.first);
        return it == right.end() || it->second != label.second;
      });
      return known;
    }
    default: break;
  }
  if (matching.fill_left || matching.fill_right) return {};
  switch (matching.cardinality) {
    case Cardinality::kOneToOne:
      return filtered(known_of(*binary.left), matching.labels, matching.on);
    case Cardinality::kManyToOne: return filtered(known_of(*binary.left), matching.include, false);
    case Cardinality::kOneToMany: return filtered(known_of(*binary.right), matching.include, false);
    case Cardinality::kManyToMany: break;
  }
  return {};
}

/// What every series of `e` is known to have.
Known known_of(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kSelector: return known_of(as<Selector>(e));
    case ExprKind::kRange: return known_of(*as<Range>(e).selector);
    case ExprKind::kSubquery: return known_of(*as<Subquery>(e).inner);
    case ExprKind::kParen: return known_of(*as<Paren>(e).inner);
    case ExprKind::kUnary: return known_of(*as<Unary>(e).operand);
    case ExprKind::kBinary: return known_of_binary(as<Binary>(e));
    case ExprKind::kAggregate: {
      const auto& aggregate = as<Aggregate>(e);
      if (aggregate.op == AggregateOp::kCountValues) return {};
      const bool selects =
          aggregate.op == AggregateOp::kTopk || aggregate.op == AggregateOp::kBottomk ||
          aggregate.op == AggregateOp::kLimitk || aggregate.op == AggregateOp::kLimitRatio;
      if (selects) return known_of(*aggregate.operand);
      return filtered(known_of(*aggregate.operand), aggregate.grouping, !aggregate.without);
    }
    case ExprKind::kCall: {
      const Expr* const argument = labels_argument<const Expr>(as<Call>(e));
      return argument == nullptr ? Known() : known_of(*argument);
    }
    default: return {};
  }
}

/// Makes the selectors below `e` select only what has these labels. They are all that matters to
/// whoever reads `e`.
void push(Expr& e, const Known& wanted) {
  if (wanted.empty()) return;
  switch (e.kind) {
    case ExprKind::kSelector: {
      auto& selector = as<Selector>(e);
      // Without one name, series may collide when functions drop names, which must be told.
      if (!names_metric(selector)) return;
      for (const auto& [name, value] : wanted) {
        const tsdb::Matcher matcher = tsdb::Matcher::equal(name, value);
        const auto& matchers = selector.matchers;
        if (std::find(matchers.begin(), matchers.end(), matcher) == matchers.end()) {
          selector.matchers.push_back(matcher);
        }
      }
      return;
    }
    case ExprKind::kRange: return push(*as<Range>(e).selector, wanted);
    case ExprKind::kSubquery: return push(*as<Subquery>(e).inner, wanted);
    case ExprKind::kParen: return push(*as<Paren>(e).inner, wanted);
    case ExprKind::kUnary: return push(*as<Unary>(e).operand, wanted);
    case ExprKind::kAggregate: {
      auto& aggregate = as<Aggregate>(e);
      if (aggregate.op == AggregateOp::kCountValues) return;
      return push(*aggregate.operand, filtered(wanted, aggregate.grouping, !aggregate.without));
    }
    case ExprKind::kCall: {
      Expr* const argument = labels_argument<Expr>(as<Call>(e));
      if (argument != nullptr) push(*argument, wanted);
      return;
    }
    case ExprKind::kBinary: {
      auto& binary = as<Binary>(e);
      if (binary.left->type == ValueType::kScalar) return push(*binary.right, wanted);
      if (binary.right->type == ValueType::kScalar) return push(*binary.left, wanted);
      // A left element that nobody reads decides about no other.
      if (binary.op == BinaryOp::kAnd || binary.op == BinaryOp::kUnless) push(*binary.left, wanted);
      return;
    }
    default: return;
  }
}

/// Of what one side is known to have, what the other side's elements must have to match.
Known shared(const Known& known, const VectorMatching& matching) {
  return filtered(known, matching.labels, matching.on);
}

/// Whether no two elements of `e` can be alike in what they are matched by: then leaving out
/// elements of the other side, even all of them, hides no complaint about duplicates.
bool is_unique(const Expr& e, const VectorMatching& matching) {
  if (e.kind == ExprKind::kParen) return is_unique(*as<Paren>(e).inner, matching);
  if (e.kind != ExprKind::kAggregate) return false;
  const auto& aggregate = as<Aggregate>(e);
  const bool selects =
      aggregate.op == AggregateOp::kTopk || aggregate.op == AggregateOp::kBottomk ||
      aggregate.op == AggregateOp::kLimitk || aggregate.op == AggregateOp::kLimitRatio;
  if (selects || aggregate.op == AggregateOp::kCountValues || aggregate.without) return false;
  return std::all_of(
      aggregate.grouping.begin(), aggregate.grouping.end(),
      [&](const std::string& label) { return is_listed(matching.labels, label) == matching.on; });
}

void push_between(Binary& binary) {
  const VectorMatching& matching = binary.matching;
  if (matching.fill_left || matching.fill_right) return;
  const Known left = shared(known_of(*binary.left), matching);
  const Known right = shared(known_of(*binary.right), matching);
  switch (binary.op) {
    case BinaryOp::kAnd:
      push(*binary.left, right);
      push(*binary.right, left);
      return;
    case BinaryOp::kUnless: return push(*binary.right, left);
    case BinaryOp::kOr: return;
    default: break;
  }
  if (matching.cardinality == Cardinality::kOneToMany) {
    if (is_unique(*binary.left, matching)) push(*binary.right, left);
    return;
  }
  if (is_unique(*binary.right, matching)) push(*binary.left, right);
}

}  // namespace

void push_matchers(Expr& root) {
  // From the bottom: what an inner operator learned is known to the outer one.
  for (Expr* child : children_of(root)) push_matchers(*child);
  if (root.kind != ExprKind::kBinary) return;
  auto& binary = as<Binary>(root);
  if (binary.left->type == ValueType::kVector && binary.right->type == ValueType::kVector) {
    push_between(binary);
  }
}

}  // namespace tarsier::query
