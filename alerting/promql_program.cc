#include "alerting/promql_program.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "alerting/sli_terms.h"
#include "query/expression.h"

namespace tarsier::alerting {
namespace {

using query::as;
using query::Expr;
using query::ExprKind;

/// Stands for the window while the query is parsed; nobody writes it.
constexpr Duration kProbe = milliseconds(604'799'999);

std::optional<double> compute(query::BinaryOp op, double a, double b) {
  switch (op) {
    case query::BinaryOp::kAdd: return a + b;
    case query::BinaryOp::kSubtract: return a - b;
    case query::BinaryOp::kMultiply: return a * b;
    case query::BinaryOp::kDivide: return a / b;
    case query::BinaryOp::kGreater: return a > b ? std::optional(a) : std::nullopt;
    default: return std::nullopt;
  }
}

bool is_arithmetic_of_ours(query::BinaryOp op) {
  return op == query::BinaryOp::kAdd || op == query::BinaryOp::kSubtract ||
         op == query::BinaryOp::kMultiply || op == query::BinaryOp::kDivide;
}

}  // namespace

std::unique_ptr<PromqlProgram> PromqlProgram::compile(const std::vector<std::string>& queries,
                                                      const std::vector<Duration>& windows) {
  auto out = std::make_unique<PromqlProgram>();
  out->windows_ = windows;
  for (const std::string& query : queries) {
    const Result<query::ExprPtr> parsed = query::parse_expression(with_window(query, kProbe));
    if (!parsed.ok()) return nullptr;
    out->roots_.push_back(out->read(**parsed));
    if (!out->roots_.back()) return nullptr;
  }
  return out->sums_.empty() ? nullptr : std::move(out);
}

std::unique_ptr<PromqlProgram::Node> PromqlProgram::read(const Expr& expression) {
  const Expr& e = query::without_parens(expression);
  switch (e.kind) {
    case ExprKind::kNumber: {
      auto node = std::make_unique<Node>();
      node->number = as<query::Number>(e).value;
      return node;
    }
    case ExprKind::kBinary: return read_binary(as<query::Binary>(e));
    case ExprKind::kAggregate: return read_sum(as<query::Aggregate>(e));
    default: return nullptr;
  }
}

std::unique_ptr<PromqlProgram::Node> PromqlProgram::read_binary(const query::Binary& binary) {
  if (binary.return_bool || !binary.matching.labels.empty() || !binary.matching.include.empty() ||
      binary.matching.fill_left || binary.matching.fill_right) {
    return nullptr;
  }
  auto node = std::make_unique<Node>();
  node->op = binary.op;
  node->kind = Node::Kind::kBinary;
  const Expr& right = query::without_parens(*binary.right);
  const bool is_or = binary.op == query::BinaryOp::kOr;
  if (is_or && right.kind == ExprKind::kCall) {  // `or vector(0)`
    const auto& call = as<query::Call>(right);
    const bool is_vector = call.function.name == "vector" && call.arguments.size() == 1;
    if (!is_vector) return nullptr;
    const Expr& argument = query::without_parens(*call.arguments[0]);
    if (argument.kind != ExprKind::kNumber) return nullptr;
    node->kind = Node::Kind::kOrNumber;
    node->number = as<query::Number>(argument).value;
    node->left = read(*binary.left);
    // With on(), any element at all makes the number unnecessary.
    node->sum = binary.matching.on ? 1 : 0;
    return node->left ? std::move(node) : nullptr;
  }
  if (binary.matching.on) return nullptr;
  const bool is_guard = binary.op == query::BinaryOp::kGreater && right.kind == ExprKind::kNumber;
  if (!is_or && !is_guard && !is_arithmetic_of_ours(binary.op)) return nullptr;
  node->left = read(*binary.left);
  node->right = read(*binary.right);
  return node->left && node->right ? std::move(node) : nullptr;
}

std::unique_ptr<PromqlProgram::Node> PromqlProgram::read_sum(const query::Aggregate& sum) {
  if (sum.op != query::AggregateOp::kSum || sum.without) return nullptr;
  const Expr& inner = query::without_parens(*sum.operand);
  if (inner.kind != ExprKind::kCall) return nullptr;
  const auto& call = as<query::Call>(inner);
  const bool is_rate = call.function.id == query::FunctionId::kRate;
  if (!is_rate && call.function.id != query::FunctionId::kIncrease) return nullptr;
  const Expr& argument = query::without_parens(*call.arguments.at(0));
  if (argument.kind != ExprKind::kRange) return nullptr;
  const auto& range = as<query::Range>(argument);
  const query::Selector& selector = *range.selector;
  if (range.range.expression || range.range.constant != kProbe || selector.shift.at ||
      selector.shift.offset.expression || selector.shift.offset.constant.ms != 0 ||
      selector.anchored || selector.smoothed) {
    return nullptr;
  }
  auto node = std::make_unique<Node>();
  node->kind = Node::Kind::kSum;
  const std::string text = query::canonical_text(sum);
  const auto same =
      std::find_if(sums_.begin(), sums_.end(), [&](const Sum& one) { return one.text == text; });
  node->sum = static_cast<std::size_t>(same - sums_.begin());
  if (same == sums_.end()) {
    std::vector<std::string> grouping = sum.grouping;
    std::sort(grouping.begin(), grouping.end());
    sums_.push_back(
        {.text = text,
         .windows = std::make_unique<IncreaseWindows>(
             selector.matchers,
             is_rate ? IncreaseWindows::Function::kRate : IncreaseWindows::Function::kIncrease,
             std::move(grouping), windows_)});
  }
  return node;
}

Status PromqlProgram::advance(tsdb::Queryable& storage, Timestamp t, const CancelToken* cancel) {
  for (Sum& sum : sums_) TRY(sum.windows->advance(storage, t, cancel));
  return {};
}

void PromqlProgram::reset() {
  for (Sum& sum : sums_) sum.windows->reset();
}

std::size_t PromqlProgram::series_count() const {
  std::size_t count = 0;
  for (const Sum& sum : sums_) count += sum.windows->series_count();
  return count;
}

PromqlProgram::Value PromqlProgram::evaluate(const Node& node, std::size_t window) const {
  switch (node.kind) {
    case Node::Kind::kNumber: return node.number;
    case Node::Kind::kSum: return sums_[node.sum].windows->sums(window);
    case Node::Kind::kOrNumber: {
      Value left = evaluate(*node.left, window);
      if (auto* const vector = std::get_if<Vector>(&left)) {
        const bool has_any = node.sum == 1 && !vector->empty();
        if (!has_any) vector->try_emplace(tsdb::Labels(), node.number);
      }
      return left;
    }
    case Node::Kind::kBinary: break;
  }
  const Value left = evaluate(*node.left, window);
  const Value right = evaluate(*node.right, window);
  const auto* const a = std::get_if<Vector>(&left);
  const auto* const b = std::get_if<Vector>(&right);
  if (a == nullptr && b == nullptr) {
    return compute(node.op, std::get<double>(left), std::get<double>(right)).value_or(0);
  }
  Vector out;
  if (node.op == query::BinaryOp::kOr && a != nullptr && b != nullptr) {
    out = *a;
    for (const auto& [labels, v] : *b) out.try_emplace(labels, v);
    return out;
  }
  for (const auto& [labels, v] : a != nullptr ? *a : *b) {
    std::optional<double> result;
    if (a != nullptr && b != nullptr) {
      const auto other = b->find(labels);
      if (other == b->end()) continue;
      result = compute(node.op, v, other->second);
    } else {
      result = a != nullptr ? compute(node.op, v, std::get<double>(right))
                            : compute(node.op, std::get<double>(left), v);
    }
    if (result) out[labels] = *result;
  }
  return out;
}

std::map<tsdb::Labels, double> PromqlProgram::value(std::size_t window, std::size_t query) const {
  Value out = evaluate(*roots_.at(query), window);
  if (auto* const vector = std::get_if<Vector>(&out)) return std::move(*vector);
  return {{tsdb::Labels(), std::get<double>(out)}};
}

}  // namespace tarsier::alerting
