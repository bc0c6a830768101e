#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "query/parse/literal.h"
#include "query/parse/parser.h"
#include "tsdb/labels.h"

namespace tarsier::query {

namespace {

/// Prometheus prints timestamps it refuses with %f.
std::string fixed_text(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  return fmt::format("{:f}", v);
}

Timestamp timestamp_from_seconds(double seconds) {
  const double ms = std::round(seconds * 1000);
  constexpr double kLimit = 9.2e18;  // A little inside of what 64 bits hold.
  if (ms >= kLimit) return kMaxTimestamp;
  if (ms <= -kLimit) return kMinTimestamp;
  return Timestamp{static_cast<std::int64_t>(ms)};
}

bool is_matcher_operator(TokenKind kind) {
  return kind == TokenKind::kAssign || kind == TokenKind::kNotEqual ||
         kind == TokenKind::kRegexMatch || kind == TokenKind::kRegexNoMatch;
}

tsdb::MatchOp match_op_of(TokenKind kind) {
  switch (kind) {
    case TokenKind::kAssign: return tsdb::MatchOp::kEqual;
    case TokenKind::kNotEqual: return tsdb::MatchOp::kNotEqual;
    case TokenKind::kRegexMatch: return tsdb::MatchOp::kRegex;
    default: return tsdb::MatchOp::kNotRegex;
  }
}

}  // namespace

Result<std::vector<tsdb::Matcher>> Parser::parse_whole_metric_selector() {
  if (!next_is(TokenKind::kLeftBrace) && !can_be_metric_name(peek().kind)) return unexpected();
  auto selector = TRY(parse_selector());
  if (!next_is(TokenKind::kEndOfInput)) return unexpected();
  return std::move(selector->matchers);
}

/// REQUIRES: the next token is a name or a left brace.
Result<std::unique_ptr<Selector>> Parser::parse_selector() {
  auto selector = std::make_unique<Selector>();
  const std::uint32_t begin = peek().source.begin;
  if (!next_is(TokenKind::kLeftBrace)) selector->name = text_of_token(take());
  if (next_is(TokenKind::kLeftBrace)) {
    selector->matchers = TRY(parse_matchers());
  } else if (next_is(TokenKind::kError)) {
    return unexpected();
  }
  if (!selector->name.empty()) {
    selector->matchers.push_back(
        tsdb::Matcher::equal(std::string(tsdb::kMetricName), selector->name));
  }
  selector->source = {begin, end_of_last()};
  return selector;
}

Result<std::vector<tsdb::Matcher>> Parser::parse_matchers() {
  TRY(expect(TokenKind::kLeftBrace));
  std::vector<tsdb::Matcher> matchers;
  while (!next_is(TokenKind::kRightBrace)) {
    matchers.push_back(TRY(parse_matcher()));
    if (next_is(TokenKind::kComma)) {
      take();
    } else if (!next_is(TokenKind::kRightBrace)) {
      return unexpected({"label matching", "\",\" or \"}\""});
    }
  }
  take();
  return matchers;
}

/// `name="value"`, `"name"!~"value"`, or `"metric name"` alone.
Result<tsdb::Matcher> Parser::parse_matcher() {
  const bool is_quoted = next_is(TokenKind::kString);
  if (!is_quoted && !next_is(TokenKind::kIdentifier)) {
    return unexpected({"label matching", "identifier or \"}\""});
  }
  const Token name_token = take();
  std::string name =
      is_quoted ? unquote(text_of_token(name_token)) : std::string(text_of_token(name_token));
  if (!is_matcher_operator(peek().kind)) {
    if (!is_quoted) return unexpected({"label matching", "label matching operator"});
    if (next_is(TokenKind::kError)) return unexpected();
    return tsdb::Matcher::equal(std::string(tsdb::kMetricName), std::move(name));
  }
  const tsdb::MatchOp op = match_op_of(take().kind);
  if (!next_is(TokenKind::kString)) return unexpected({"label matching", "string"});
  const Token value = take();
  Result<tsdb::Matcher> matcher =
      tsdb::Matcher::create(op, std::move(name), unquote(text_of_token(value)));
  if (!matcher.ok()) {
    return fail({name_token.source.begin, value.source.end}, matcher.status().message());
  }
  return matcher;
}

/// Everything that binds to the expression just before it.
Result<ExprPtr> Parser::parse_postfix(ExprPtr operand) {
  for (;;) {
    switch (peek().kind) {
      case TokenKind::kLeftBracket: operand = TRY(parse_brackets(std::move(operand))); break;
      case TokenKind::kOffset: TRY(parse_offset(*operand)); break;
      case TokenKind::kAt: TRY(parse_at(*operand)); break;
      case TokenKind::kAnchored:
      case TokenKind::kSmoothed: TRY(parse_extended(*operand)); break;
      default: return operand;
    }
  }
}

Result<ExprPtr> Parser::parse_brackets(ExprPtr operand) {
  const Token open = take();
  const std::uint32_t begin = operand->source.begin;
  const ContextScope context(
      *this, {"subquery or range selector", "number, duration, step(), or range()"});
  DurationValue range = TRY(parse_positive_duration());

  if (next_is(TokenKind::kColon)) {
    take();
    auto subquery = std::make_unique<Subquery>();
    subquery->range = std::move(range);
    if (!next_is(TokenKind::kRightBracket)) {
      const ContextScope step_context(
          *this, {"subquery selector", "number, duration, step(), range(), or \"]\""});
      subquery->step = TRY(parse_positive_duration());
      subquery->has_step = true;
      if (!next_is(TokenKind::kRightBracket)) return unexpected({"subquery selector", "\"]\""});
    }
    take();
    subquery->inner = std::move(operand);
    return finish(std::move(subquery), begin);
  }

  if (!next_is(TokenKind::kRightBracket)) {
    return unexpected({"subquery or range", "\":\" or \"]\""});
  }
  take();
  const SourceRange brackets = {open.source.begin, end_of_last()};
  if (operand->kind != ExprKind::kSelector) {
    return fail(brackets, "ranges only allowed for vector selectors");
  }
  std::unique_ptr<Selector> selector(static_cast<Selector*>(operand.release()));
  if (selector->shift.offset.constant.ms != 0 || selector->shift.offset.expression) {
    return fail(brackets, "no offset modifiers allowed before range");
  }
  if (selector->shift.at) return fail(brackets, "no @ modifiers allowed before range");
  auto matrix = std::make_unique<Range>();
  matrix->selector = std::move(selector);
  matrix->range = std::move(range);
  return finish(std::move(matrix), begin);
}

/// The time shift that `offset` or `@` after `target` sets.
Result<TimeShift*> Parser::shift_of(Expr& target, std::string_view modifier) {
  switch (target.kind) {
    case ExprKind::kSelector: return &as<Selector>(target).shift;
    case ExprKind::kRange: return &as<Range>(target).selector->shift;
    case ExprKind::kSubquery: return &as<Subquery>(target).shift;
    default:
      return fail(target.source,
                  fmt::format("{} modifier must be preceded by an instant vector selector or range "
                              "vector selector or a subquery",
                              modifier));
  }
}

Status Parser::parse_offset(Expr& target) {
  take();
  const ContextScope context(*this, {"offset", "number, duration, step(), or range()"});
  DurationValue offset = TRY(parse_offset_duration());
  TimeShift& shift = *TRY(shift_of(target, "offset"));
  if (shift.offset.constant.ms != 0 || shift.offset.expression) {
    return fail(target.source, "offset may not be set multiple times");
  }
  shift.offset = std::move(offset);
  target.source.end = end_of_last();
  return {};
}

Status Parser::parse_at(Expr& target) {
  take();
  const ContextScope context(*this, {"@", "timestamp"});
  if (!next_is(TokenKind::kStartWord) && !next_is(TokenKind::kEndWord)) {
    return parse_at_number(target);
  }
  const bool is_start = take().kind == TokenKind::kStartWord;
  TRY(expect(TokenKind::kLeftParen));
  TRY(expect(TokenKind::kRightParen));
  TimeShift& shift = *TRY(shift_of(target, "@"));
  if (shift.at) return fail(target.source, "@ <timestamp> may not be set multiple times");
  shift.at.anchor = is_start ? AtModifier::Anchor::kStart : AtModifier::Anchor::kEnd;
  target.source.end = end_of_last();
  return {};
}

Status Parser::parse_at_number(Expr& target) {
  double factor = 1;
  if (next_is(TokenKind::kAdd) || next_is(TokenKind::kSubtract)) {
    factor = take().kind == TokenKind::kSubtract ? -1 : 1;
  }
  const double seconds = factor * TRY(take_number());
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (!(seconds > -kLimit && seconds < kLimit)) {
    return fail(target.source, "timestamp out of bounds for @ modifier: " + fixed_text(seconds));
  }
  TimeShift& shift = *TRY(shift_of(target, "@"));
  if (shift.at) return fail(target.source, "@ <timestamp> may not be set multiple times");
  shift.at = {.anchor = AtModifier::Anchor::kTime, .time = timestamp_from_seconds(seconds)};
  target.source.end = end_of_last();
  return {};
}

Status Parser::parse_extended(Expr& target) {
  const Token word = take();
  const bool is_anchored = word.kind == TokenKind::kAnchored;
  const std::string_view name = is_anchored ? "anchored" : "smoothed";
  if (!options_.extended_range_selectors) {
    return fail(target.source, fmt::format("{} modifier is experimental and not enabled", name));
  }
  if (target.kind == ExprKind::kSubquery) {
    return fail(target.source, fmt::format("{} modifier is not supported for subqueries", name));
  }
  if (target.kind != ExprKind::kSelector && target.kind != ExprKind::kRange) {
    return fail(target.source, fmt::format("{} modifier not implemented", name));
  }
  Selector& selector =
      target.kind == ExprKind::kSelector ? as<Selector>(target) : *as<Range>(target).selector;
  (is_anchored ? selector.anchored : selector.smoothed) = true;
  if (selector.anchored && selector.smoothed) {
    return fail(target.source, "anchored and smoothed modifiers cannot be used together");
  }
  return {};
}

}  // namespace tarsier::query
