#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "query/parse/parser.h"

namespace tarsier::query {

namespace {

/// Seconds beyond this do not fit Prometheus' 64-bit nanoseconds.
constexpr double kSecondsMax = 9223372036854775808.0 / 1e9;

bool is_out_of_range(double seconds) {
  return !(-kSecondsMax <= seconds && seconds <= kSecondsMax);
}

/// Rounded to nanoseconds, then truncated to milliseconds.
Duration literal_duration(double seconds) {
  const double ns = std::round(seconds * 1e9);
  if (std::abs(ns) < 9e18) return Duration{static_cast<std::int64_t>(ns) / 1'000'000};
  return Duration{static_cast<std::int64_t>(ns / 1e6)};
}

constexpr int kLevelSum = 1;
constexpr int kLevelProduct = 2;
constexpr int kLevelPower = 3;

int level_of(TokenKind kind) {
  switch (kind) {
    case TokenKind::kAdd:
    case TokenKind::kSubtract: return kLevelSum;
    case TokenKind::kMultiply:
    case TokenKind::kDivide:
    case TokenKind::kModulo: return kLevelProduct;
    case TokenKind::kPower: return kLevelPower;
    default: return 0;
  }
}

DurationOp duration_op_of(TokenKind kind) {
  switch (kind) {
    case TokenKind::kAdd: return DurationOp::kAdd;
    case TokenKind::kSubtract: return DurationOp::kSubtract;
    case TokenKind::kMultiply: return DurationOp::kMultiply;
    case TokenKind::kDivide: return DurationOp::kDivide;
    case TokenKind::kModulo: return DurationOp::kModulo;
    default: return DurationOp::kPower;
  }
}

}  // namespace

Result<DurationValue> Parser::parse_positive_duration() {
  duration_node_count_ = 0;
  ParsedDuration parsed = TRY(parse_duration_binary(kLevelSum));
  DurationValue value;
  if (!parsed.is_literal()) {
    value.expression = std::move(parsed.expression);
    return value;
  }
  if (parsed.expression->seconds <= 0) {
    return fail_after_next(parsed.expression->source, "duration must be greater than 0");
  }
  value.constant = literal_duration(parsed.expression->seconds);
  return value;
}

/// After `offset` only one operand is taken: what follows it belongs to the query around. Unless it
/// begins with a parenthesis: then arithmetic goes on, as in Prometheus' grammar.
Result<DurationValue> Parser::parse_offset_duration() {
  duration_node_count_ = 0;
  ParsedDuration parsed = TRY(next_is(TokenKind::kLeftParen) ? parse_duration_binary(kLevelSum)
                                                             : parse_duration_offset_operand());
  DurationValue value;
  if (parsed.is_literal()) {
    value.constant = literal_duration(parsed.expression->seconds);
  } else {
    value.expression = std::move(parsed.expression);
  }
  return value;
}

Result<Parser::ParsedDuration> Parser::make_duration(DurationOp op, std::uint32_t begin,
                                                     ParsedDuration left, ParsedDuration right) {
  if (++duration_node_count_ > options_.depth_max) {
    return fail(peek().source,
                fmt::format("duration expression has more than {} operations", options_.depth_max));
  }
  auto node = std::make_unique<DurationExpr>();
  node->op = op;
  node->source = {begin, end_of_last()};
  // Where Prometheus says such a node stands: without parentheses and the function's name.
  if (right.expression)
    node->source = {left.expression->source.begin, right.expression->source.end};
  node->left = std::move(left.expression);
  node->right = std::move(right.expression);
  return ParsedDuration{std::move(node)};
}

Result<Parser::ParsedDuration> Parser::parse_duration_binary(int level_min) {
  const NestingScope nesting(*this);
  TRY(nesting.check());
  ParsedDuration left = TRY(parse_duration_operand());
  for (;;) {
    const int level = level_of(peek().kind);
    if (level == 0 || level < level_min) return left;
    const Token op = take();
    ParsedDuration right = TRY(parse_duration_binary(level == kLevelPower ? level : level + 1));
    const bool is_zero = right.is_literal() && right.expression->seconds == 0;
    if (is_zero && op.kind == TokenKind::kDivide) return fail(op.source, "division by zero");
    if (is_zero && op.kind == TokenKind::kModulo) return fail(op.source, "modulo by zero");
    const std::uint32_t begin = left.expression->source.begin;
    left = TRY(make_duration(duration_op_of(op.kind), begin, std::move(left), std::move(right)));
  }
}

Result<Parser::ParsedDuration> Parser::parse_duration_operand() {
  if (next_is(TokenKind::kAdd) || next_is(TokenKind::kSubtract)) return parse_duration_sign(false);
  return parse_duration_primary();
}

Result<Parser::ParsedDuration> Parser::parse_duration_offset_operand() {
  if (next_is(TokenKind::kAdd) || next_is(TokenKind::kSubtract)) return parse_duration_sign(true);
  return parse_duration_primary();
}

/// A sign and what it applies to: after `offset` one operand, otherwise all powers that follow.
Result<Parser::ParsedDuration> Parser::parse_duration_sign(bool operand_only) {
  const NestingScope nesting(*this);
  TRY(nesting.check());
  const Token sign = take();
  const bool is_negative = sign.kind == TokenKind::kSubtract;
  ParsedDuration operand =
      TRY(operand_only ? parse_duration_offset_operand() : parse_duration_binary(kLevelPower));
  if (operand.is_literal()) {
    if (is_negative) operand.expression->seconds = -operand.expression->seconds;
    operand.expression->source.begin = sign.source.begin;
    return operand;
  }
  if (!is_negative) return operand;
  return make_duration(DurationOp::kMinus, sign.source.begin, std::move(operand), {});
}

Result<Parser::ParsedDuration> Parser::parse_duration_primary() {
  const std::uint32_t begin = peek().source.begin;
  switch (peek().kind) {
    case TokenKind::kNumber:
    case TokenKind::kDuration: {
      const bool is_duration = next_is(TokenKind::kDuration);
      const double seconds = TRY(take_number());
      if (is_out_of_range(seconds)) return fail({begin, end_of_last()}, "duration out of range");
      ParsedDuration number = TRY(make_duration(DurationOp::kNumber, begin, {}, {}));
      number.expression->seconds = seconds;
      number.expression->is_duration = is_duration;
      return number;
    }
    case TokenKind::kLeftParen: {
      take();
      ParsedDuration inner = TRY(parse_duration_binary(kLevelSum));
      TRY(expect(TokenKind::kRightParen));
      if (inner.is_literal()) inner.expression->source.begin = begin;
      inner.expression->in_parens = true;
      return inner;
    }
    case TokenKind::kStep:
    case TokenKind::kRange:
    case TokenKind::kMinOf:
    case TokenKind::kMaxOf: return parse_duration_function();
    default: return unexpected();
  }
}

Result<Parser::ParsedDuration> Parser::parse_duration_function() {
  const Token name = take();
  TRY(expect(TokenKind::kLeftParen));
  ParsedDuration left;
  ParsedDuration right;
  DurationOp op = name.kind == TokenKind::kStep ? DurationOp::kStep : DurationOp::kRange;
  if (name.kind == TokenKind::kMinOf || name.kind == TokenKind::kMaxOf) {
    op = name.kind == TokenKind::kMinOf ? DurationOp::kMinOf : DurationOp::kMaxOf;
    left = TRY(parse_duration_binary(kLevelSum));
    TRY(expect(TokenKind::kComma));
    right = TRY(parse_duration_binary(kLevelSum));
  }
  TRY(expect(TokenKind::kRightParen));
  return make_duration(op, name.source.begin, std::move(left), std::move(right));
}

}  // namespace tarsier::query
