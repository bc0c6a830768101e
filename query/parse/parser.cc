#include "query/parse/parser.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "query/parse/literal.h"

namespace tarsier::query {

namespace {

/// Higher binds tighter. Unary signs bind like multiplication.
constexpr int kLevelLowest = 1;
constexpr int kLevelPower = 6;

/// 0 for tokens that are not binary operators.
int level_of(TokenKind kind) {
  switch (kind) {
    case TokenKind::kOr: return kLevelLowest;
    case TokenKind::kAnd:
    case TokenKind::kUnless: return 2;
    case TokenKind::kEqual:
    case TokenKind::kNotEqual:
    case TokenKind::kLess:
    case TokenKind::kLessEqual:
    case TokenKind::kGreater:
    case TokenKind::kGreaterEqual:
    case TokenKind::kTrimUpper:
    case TokenKind::kTrimLower: return 3;
    case TokenKind::kAdd:
    case TokenKind::kSubtract: return 4;
    case TokenKind::kMultiply:
    case TokenKind::kDivide:
    case TokenKind::kModulo:
    case TokenKind::kAtan2: return 5;
    case TokenKind::kPower: return kLevelPower;
    default: return 0;
  }
}

/// REQUIRES: level_of(kind) > 0. The operators stand in the same order in both enums.
BinaryOp binary_op_of(TokenKind kind) {
  return static_cast<BinaryOp>(static_cast<int>(kind) - static_cast<int>(TokenKind::kAdd));
}
static_assert(static_cast<int>(TokenKind::kUnless) - static_cast<int>(TokenKind::kAdd) ==
              static_cast<int>(BinaryOp::kUnless));

AggregateOp aggregate_op_of(TokenKind kind) {
  return static_cast<AggregateOp>(static_cast<int>(kind) - static_cast<int>(TokenKind::kSum));
}
static_assert(static_cast<int>(TokenKind::kLimitRatio) - static_cast<int>(TokenKind::kSum) ==
              static_cast<int>(AggregateOp::kLimitRatio));

bool can_begin_expression(TokenKind kind) {
  switch (kind) {
    case TokenKind::kLeftParen:
    case TokenKind::kLeftBrace:
    case TokenKind::kAdd:
    case TokenKind::kSubtract:
    case TokenKind::kNumber:
    case TokenKind::kDuration:
    case TokenKind::kString: return true;
    default: return can_be_metric_name(kind);
  }
}

}  // namespace

Parser::Parser(std::string_view query, const ParseOptions& options)
    : query_(query), options_(options), list_(lex(query)) {}

// Tokens and errors.

const Token& Parser::peek_second() const {
  return list_.tokens[std::min(next_ + 1, list_.tokens.size() - 1)];
}

Token Parser::take() {
  const Token token = peek();
  CHECK(token.kind != TokenKind::kEndOfInput && token.kind != TokenKind::kError);
  ++next_;
  last_end_ = token.source.end;
  return token;
}

Status Parser::expect(TokenKind kind) {
  if (!next_is(kind)) return unexpected();
  take();
  return {};
}

std::string_view Parser::text_of_token(const Token& t) const {
  return query_.substr(t.source.begin, t.source.end - t.source.begin);
}

Status Parser::fail(SourceRange range, std::string message) {
  error_ = {.position = position_of(query_, range.begin), .range = range, .message = message};
  return invalid(std::move(message));
}

Status Parser::fail_after_next(SourceRange range, std::string message) {
  if (next_is(TokenKind::kError)) return fail(peek().source, list_.error);
  return fail(range, std::move(message));
}

Status Parser::unexpected() { return unexpected(context_); }

Status Parser::unexpected(Context context) {
  if (next_is(TokenKind::kError)) return fail(peek().source, list_.error);
  std::string message = "unexpected " + describe(peek(), query_);
  if (!context.in.empty()) message += fmt::format(" in {}", context.in);
  if (!context.expected.empty()) message += fmt::format(", expected {}", context.expected);
  return fail(peek().source, std::move(message));
}

Status Parser::NestingScope::check() const {
  const std::uint16_t limit = parser_.options_.nesting_max;
  if (parser_.nesting_ <= limit) return {};
  return parser_.fail(parser_.peek().source,
                      fmt::format("expression is nested more than {} levels deep", limit));
}

/// Completes a node whose last token was just taken: its place and its depth.
Result<ExprPtr> Parser::finish(ExprPtr node, std::uint32_t begin) {
  node->source = {begin, end_of_last()};
  std::uint16_t depth = 0;
  for (const Expr* child : children_of(std::as_const(*node))) {
    depth = std::max(depth, child->depth);
  }
  if (depth >= options_.depth_max) {
    return fail(node->source,
                fmt::format("expression has more than {} levels", options_.depth_max));
  }
  node->depth = static_cast<std::uint16_t>(depth + 1);
  return node;
}

// Operators.

Result<ExprPtr> Parser::parse_whole_expression() {
  if (next_is(TokenKind::kEndOfInput)) return fail({}, "no expression found in input");
  ExprPtr expression = TRY(parse_binary(kLevelLowest));
  if (!next_is(TokenKind::kEndOfInput)) return unexpected();
  return expression;
}

/// Operands joined by operators of at least this level.
Result<ExprPtr> Parser::parse_binary(int level_min) {
  const NestingScope nesting(*this);
  TRY(nesting.check());
  ExprPtr left = TRY(parse_operand());
  for (;;) {
    const int level = level_of(peek().kind);
    if (level == 0 || level < level_min) return left;
    const BinaryOp op = binary_op_of(take().kind);
    Binary modifiers(op, std::make_unique<Number>(0), std::make_unique<Number>(0));
    TRY(parse_binary_modifiers(modifiers));
    const bool is_right_associative = op == BinaryOp::kPower;
    ExprPtr right = TRY(parse_binary(is_right_associative ? level : level + 1));
    const std::uint32_t begin = left->source.begin;
    auto binary = std::make_unique<Binary>(op, std::move(left), std::move(right));
    binary->return_bool = modifiers.return_bool;
    binary->matching = std::move(modifiers.matching);
    const bool fills = binary->matching.fill_left || binary->matching.fill_right;
    left = TRY(finish(std::move(binary), begin));
    if (fills && !options_.fill_modifiers) {
      return fail_after_next(left->source, "binop fill modifiers are experimental and not enabled");
    }
  }
}

Result<ExprPtr> Parser::parse_operand() {
  if (next_is(TokenKind::kAdd) || next_is(TokenKind::kSubtract)) return parse_unary();
  return parse_postfix(TRY(parse_primary()));
}

Result<ExprPtr> Parser::parse_unary() {
  const Token sign = take();
  ExprPtr operand = TRY(parse_binary(kLevelPower));
  const bool is_negative = sign.kind == TokenKind::kSubtract;
  if (operand->kind == ExprKind::kNumber) {  // A sign is part of the number it stands before.
    auto& number = as<Number>(*operand);
    if (is_negative) number.value = -number.value;
    number.source.begin = sign.source.begin;
    return operand;
  }
  const UnaryOp op = is_negative ? UnaryOp::kMinus : UnaryOp::kPlus;
  return finish(std::make_unique<Unary>(op, std::move(operand)), sign.source.begin);
}

Status Parser::parse_binary_modifiers(Binary& binary) {
  if (next_is(TokenKind::kBool)) {
    take();
    binary.return_bool = true;
  }
  VectorMatching& matching = binary.matching;
  if (next_is(TokenKind::kOn) || next_is(TokenKind::kIgnoring)) {
    matching.on = take().kind == TokenKind::kOn;
    matching.labels = TRY(parse_label_list());
    if (next_is(TokenKind::kGroupLeft) || next_is(TokenKind::kGroupRight)) {
      matching.cardinality =
          take().kind == TokenKind::kGroupLeft ? Cardinality::kManyToOne : Cardinality::kOneToMany;
      if (next_is(TokenKind::kLeftParen)) {
        matching.include = TRY(parse_label_list());
      } else {
        ungrouped_at_ = peek().source.begin;
      }
    }
  }
  return parse_fill(binary);
}

Status Parser::parse_fill(Binary& binary) {
  VectorMatching& matching = binary.matching;
  if (next_is(TokenKind::kFill)) {
    take();
    matching.fill_left = matching.fill_right = TRY(parse_fill_value());
    return {};
  }
  for (int i = 0; i < 2; ++i) {
    const bool left = next_is(TokenKind::kFillLeft) && !matching.fill_left;
    const bool right = next_is(TokenKind::kFillRight) && !matching.fill_right;
    if (!left && !right) return {};
    take();
    (left ? matching.fill_left : matching.fill_right) = TRY(parse_fill_value());
  }
  return {};
}

Result<double> Parser::parse_fill_value() {
  TRY(expect(TokenKind::kLeftParen));
  double factor = 1;
  if (next_is(TokenKind::kAdd) || next_is(TokenKind::kSubtract)) {
    factor = take().kind == TokenKind::kSubtract ? -1 : 1;
  }
  const double value = TRY(take_number());
  TRY(expect(TokenKind::kRightParen));
  return factor * value;
}

Result<std::vector<std::string>> Parser::parse_label_list() {
  if (!next_is(TokenKind::kLeftParen)) return unexpected({"grouping opts", "\"(\""});
  take();
  std::vector<std::string> labels;
  while (!next_is(TokenKind::kRightParen)) {
    labels.push_back(TRY(parse_grouping_label()));
    if (next_is(TokenKind::kComma)) {
      take();
    } else if (!next_is(TokenKind::kRightParen)) {
      return unexpected({"grouping opts", "\",\" or \")\""});
    }
  }
  take();
  return labels;
}

Result<std::string> Parser::parse_grouping_label() {
  const bool is_string = next_is(TokenKind::kString);
  if (!is_string && !can_be_label_name(peek().kind)) return unexpected({"grouping opts", "label"});
  const Token token = take();
  std::string name = is_string ? unquote(text_of_token(token)) : std::string(text_of_token(token));
  if (name.empty() || !is_valid_utf8(name)) {
    return fail(token.source, "invalid label name for grouping: " + quote(name));
  }
  return name;
}

// Operands.

Result<ExprPtr> Parser::parse_primary() {
  const TokenKind kind = peek().kind;
  const TokenKind second = peek_second().kind;
  switch (kind) {
    case TokenKind::kNumber:
    case TokenKind::kDuration: return parse_number_literal();
    case TokenKind::kString: {
      const Token token = take();
      return finish(std::make_unique<String>(unquote(text_of_token(token))), token.source.begin);
    }
    case TokenKind::kLeftParen: return parse_paren();
    default: break;
  }
  if (is_aggregation(kind) && (second == TokenKind::kLeftParen || second == TokenKind::kBy ||
                               second == TokenKind::kWithout)) {
    return parse_aggregate();
  }
  if ((kind == TokenKind::kIdentifier || is_preprocessed_word(kind)) &&
      second == TokenKind::kLeftParen) {
    return parse_call();
  }
  if (kind != TokenKind::kLeftBrace && !can_be_metric_name(kind)) {
    if (peek().source.begin == ungrouped_at_) return unexpected({"grouping opts", "\"(\""});
    return unexpected();
  }
  return ExprPtr(TRY(parse_selector()));
}

Result<ExprPtr> Parser::parse_paren() {
  const Token open = take();
  ExprPtr inner = TRY(parse_binary(kLevelLowest));
  TRY(expect(TokenKind::kRightParen));
  return finish(std::make_unique<Paren>(std::move(inner)), open.source.begin);
}

Result<ExprPtr> Parser::parse_number_literal() {
  const bool is_duration = next_is(TokenKind::kDuration);
  const std::uint32_t begin = peek().source.begin;
  auto number = std::make_unique<Number>(TRY(take_number()));
  number->is_duration = is_duration;
  return finish(std::move(number), begin);
}

/// The value of a number or, in seconds, of a duration.
Result<double> Parser::take_number() {
  if (next_is(TokenKind::kDuration)) {
    const Token token = take();
    const Result<Duration> duration = parse_duration(text_of_token(token));
    if (!duration.ok()) return fail(token.source, duration.status().message());
    return static_cast<double>(duration->ms) / 1000;
  }
  if (!next_is(TokenKind::kNumber)) return unexpected();
  const Token token = take();
  Result<double> number = parse_number(text_of_token(token));
  if (!number.ok()) return fail(token.source, number.status().message());
  return number;
}

Result<ExprPtr> Parser::parse_call() {
  const Token name = take();
  const std::string_view text = text_of_token(name);
  std::vector<ExprPtr> arguments = TRY(parse_arguments());
  const FunctionSignature* function = find_function(text);
  if (!function) return fail(name.source, "unknown function with name " + quote(text));
  if (function->experimental && !options_.experimental_functions) {
    return fail(name.source, fmt::format("function {} is not enabled", quote(text)));
  }
  auto call = std::make_unique<Call>(*function);
  call->arguments = std::move(arguments);
  return finish(std::move(call), name.source.begin);
}

/// `(a, b)`, both parentheses included.
Result<std::vector<ExprPtr>> Parser::parse_arguments() {
  TRY(expect(TokenKind::kLeftParen));
  std::vector<ExprPtr> arguments;
  if (!next_is(TokenKind::kRightParen)) arguments.push_back(TRY(parse_binary(kLevelLowest)));
  while (next_is(TokenKind::kComma) && !arguments.empty()) {
    const Token comma = take();
    if (!can_begin_expression(peek().kind)) {
      return fail_after_next(comma.source, "trailing commas not allowed in function call args");
    }
    arguments.push_back(TRY(parse_binary(kLevelLowest)));
  }
  TRY(expect(TokenKind::kRightParen));
  return arguments;
}

Result<ExprPtr> Parser::parse_aggregate() {
  const Token name = take();
  const AggregateOp op = aggregate_op_of(name.kind);
  auto aggregate = std::make_unique<Aggregate>(op);
  const auto parse_grouping = [&]() -> Status {
    if (!next_is(TokenKind::kBy) && !next_is(TokenKind::kWithout)) return {};
    aggregate->without = take().kind == TokenKind::kWithout;
    aggregate->grouping = TRY(parse_label_list());
    return {};
  };
  std::vector<ExprPtr> arguments;
  {
    const ContextScope context(*this, {"aggregation", ""});
    const bool grouping_first = !next_is(TokenKind::kLeftParen);
    TRY(parse_grouping());
    arguments = TRY(parse_arguments());
    if (!grouping_first) TRY(parse_grouping());
  }
  const SourceRange range = {name.source.begin, end_of_last()};
  if (arguments.empty()) {
    return fail_after_next(range, "no arguments for aggregate expression provided");
  }
  const bool is_experimental = op == AggregateOp::kLimitk || op == AggregateOp::kLimitRatio;
  if (is_experimental && !options_.experimental_functions) {
    return fail_after_next(range, fmt::format("{}() is experimental and must be enabled with "
                                              "--enable-feature=promql-experimental-functions",
                                              text_of(op)));
  }
  const std::size_t count = has_parameter(op) ? 2 : 1;
  if (arguments.size() != count) {
    return fail_after_next(range, fmt::format("wrong number of arguments for aggregate expression "
                                              "provided, expected {}, got {}",
                                              count, arguments.size()));
  }
  if (has_parameter(op)) aggregate->parameter = std::move(arguments.front());
  aggregate->operand = std::move(arguments.back());
  return finish(std::move(aggregate), name.source.begin);
}

}  // namespace tarsier::query
