#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/parse.h"
#include "query/parse/ast.h"
#include "query/parse/lexer.h"

namespace tarsier::query {

/// Turns tokens into a tree by recursive descent, with precedence climbing for binary operators.
/// Stops at the first error, which `error()` then holds; the Status returned alongside only says
/// that there is one. Types are checked afterwards (type_check.h), because Prometheus reports
/// every syntax error before any type error. Used once, by one thread.
class Parser final {
 public:
  /// Borrows both.
  Parser(std::string_view query, const ParseOptions& options);

  Result<ExprPtr> parse_whole_expression();
  Result<std::vector<tsdb::Matcher>> parse_whole_metric_selector();
  const ParseError& error() const { return error_; }

 private:
  /// What a syntax error is said to be "in", and what was "expected" there.
  struct Context {
    std::string_view in;
    std::string_view expected;
  };
  class ContextScope;
  class NestingScope;

  /// A duration being parsed: a literal as long as it is just one number with a sign.
  struct ParsedDuration {
    std::unique_ptr<DurationExpr> expression;
    bool is_literal() const {
      return expression->op == DurationOp::kNumber && !expression->in_parens;
    }
  };

  // parser.cc: tokens, errors, operators, calls.
  const Token& peek() const { return list_.tokens[next_]; }
  const Token& peek_second() const;
  Token take();
  bool next_is(TokenKind kind) const { return peek().kind == kind; }
  Status expect(TokenKind kind);
  std::string_view text_of_token(const Token& t) const;
  Status fail(SourceRange range, std::string message);
  /// For what Prometheus notices only after it has read the next token.
  Status fail_after_next(SourceRange range, std::string message);
  Status unexpected();
  Status unexpected(Context context);
  Result<ExprPtr> finish(ExprPtr node, std::uint32_t begin);
  std::uint32_t end_of_last() const { return last_end_; }

  Result<ExprPtr> parse_binary(int level_min);
  Result<ExprPtr> parse_operand();
  Result<ExprPtr> parse_unary();
  Result<ExprPtr> parse_primary();
  Result<ExprPtr> parse_paren();
  Result<ExprPtr> parse_number_literal();
  Result<ExprPtr> parse_call();
  Result<ExprPtr> parse_aggregate();
  Result<std::vector<ExprPtr>> parse_arguments();
  Status parse_binary_modifiers(Binary& binary);
  Status parse_fill(Binary& binary);
  Result<double> parse_fill_value();
  Result<std::vector<std::string>> parse_label_list();
  Result<std::string> parse_grouping_label();
  Result<double> take_number();

  // parser_selectors.cc: selectors and what may stand behind them.
  Result<std::unique_ptr<Selector>> parse_selector();
  Result<std::vector<tsdb::Matcher>> parse_matchers();
  Result<tsdb::Matcher> parse_matcher();
  Result<ExprPtr> parse_postfix(ExprPtr operand);
  Result<ExprPtr> parse_brackets(ExprPtr operand);
  Status parse_offset(Expr& target);
  Status parse_at(Expr& target);
  Status parse_at_number(Expr& target);
  Status parse_extended(Expr& target);
  Result<TimeShift*> shift_of(Expr& target, std::string_view modifier);

  // parser_durations.cc: what stands in brackets and after offset.
  Result<DurationValue> parse_positive_duration();
  Result<DurationValue> parse_offset_duration();
  Result<ParsedDuration> parse_duration_binary(int level_min);
  Result<ParsedDuration> parse_duration_operand();
  Result<ParsedDuration> parse_duration_offset_operand();
  Result<ParsedDuration> parse_duration_primary();
  Result<ParsedDuration> parse_duration_function();
  Result<ParsedDuration> parse_duration_sign(bool operand_only);
  Result<ParsedDuration> make_duration(DurationOp op, std::uint32_t begin, ParsedDuration left,
                                       ParsedDuration right);

  const std::string_view query_;
  const ParseOptions& options_;
  const TokenList list_;
  std::size_t next_ = 0;
  std::uint32_t last_end_ = 0;  // Of the last token taken.
  Context context_;
  std::uint32_t ungrouped_at_ = UINT32_MAX;  // Behind a group_left or group_right without labels.
  std::uint16_t nesting_ = 0;
  std::uint32_t duration_node_count_ = 0;
  ParseError error_;
};

/// Sets what errors are "in" as long as it lives.
class Parser::ContextScope final {
 public:
  ContextScope(Parser& parser, Context context) : parser_(parser), outer_(parser.context_) {
    parser.context_ = context;
  }
  ~ContextScope() { parser_.context_ = outer_; }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  Parser& parser_;
  const Context outer_;
};

/// Counts how deep the parser calls itself; ask `check()` before going on.
class Parser::NestingScope final {
 public:
  explicit NestingScope(Parser& parser) : parser_(parser) { ++parser.nesting_; }
  ~NestingScope() { --parser_.nesting_; }
  NestingScope(const NestingScope&) = delete;
  NestingScope& operator=(const NestingScope&) = delete;
  Status check() const;

 private:
  Parser& parser_;
};

}  // namespace tarsier::query
