#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "query/parse/ast.h"

namespace tarsier::query {

enum class TokenKind : std::uint8_t {
  kEndOfInput,
  kError,
  // Words and literals.
  kIdentifier,
  kMetricIdentifier,  ///< With a colon.
  kNumber,
  kDuration,
  kString,
  // Punctuation.
  kLeftParen,
  kRightParen,
  kLeftBrace,
  kRightBrace,
  kLeftBracket,
  kRightBracket,
  kComma,
  kColon,
  kAssign,  ///< `=`: a matcher.
  // Operators: is_operator().
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kPower,
  kAtan2,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kTrimUpper,
  kTrimLower,
  kAnd,
  kOr,
  kUnless,
  kRegexMatch,
  kRegexNoMatch,
  kAt,
  // Aggregations: is_aggregation(), in the order of AggregateOp.
  kSum,
  kAvg,
  kCount,
  kMin,
  kMax,
  kGroup,
  kStddev,
  kStdvar,
  kTopk,
  kBottomk,
  kCountValues,
  kQuantile,
  kLimitk,
  kLimitRatio,
  // Keywords: is_keyword().
  kBool,
  kBy,
  kGroupLeft,
  kGroupRight,
  kFill,
  kFillLeft,
  kFillRight,
  kIgnoring,
  kOffset,
  kSmoothed,
  kAnchored,
  kOn,
  kWithout,
  // is_preprocessed_word().
  kStartWord,
  kEndWord,
  kStep,
  kRange,
  kMaxOf,
  kMinOf,
};

constexpr bool is_operator(TokenKind k) { return TokenKind::kAdd <= k && k <= TokenKind::kAt; }
constexpr bool is_aggregation(TokenKind k) {
  return TokenKind::kSum <= k && k <= TokenKind::kLimitRatio;
}
constexpr bool is_keyword(TokenKind k) { return TokenKind::kBool <= k && k <= TokenKind::kWithout; }
/// `start`, `end`, `step`, `range`, `max_of`, `min_of`: answered before the query is evaluated.
constexpr bool is_preprocessed_word(TokenKind k) {
  return TokenKind::kStartWord <= k && k <= TokenKind::kMinOf;
}
/// Whether a word where an expression may begin can be a metric's name.
bool can_be_metric_name(TokenKind k);
/// Whether a word in a list of label names can be one.
bool can_be_label_name(TokenKind k);

struct Token {
  TokenKind kind = TokenKind::kEndOfInput;
  SourceRange source;
};

/// The keyword that `word` is in any case (`inf` and `nan` are numbers), or kIdentifier.
TokenKind keyword_of(std::string_view word);

/// How "unexpected ..." messages name a token of `query`: `<op:+>`, `identifier "x"`.
std::string describe(const Token& token, std::string_view query);

}  // namespace tarsier::query
