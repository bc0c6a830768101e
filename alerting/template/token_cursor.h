#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/template/lexer.h"
#include "base/result.h"

namespace tarsier::alerting {

/// Where the parser of a template stands, and how it says what is wrong there, in Go's words.
/// Borrows name and text. One thread at a time.
class TokenCursor final {
 public:
  TokenCursor(std::string_view name, std::string_view text)
      : name_(name), tokens_(lex_template(text)) {}

  const Token& peek() const { return tokens_[at_]; }
  /// The end stays where it is.
  const Token& next();
  /// The same behind spaces.
  const Token& peek_word();
  const Token& next_word();
  Status expect(TokenType type, std::string_view context);

  std::size_t position() const { return at_; }
  void go_back(std::size_t position) { at_ = position; }

  /// One level deeper; an error where it is too deep.
  Status enter();
  void leave() { --nesting_; }

  /// `template: <name>:<line>: <why>`
  Status fail(const std::string& why) const;
  /// Names the line of `token` from here on.
  Status unexpected(const Token& token, std::string_view context);

 private:
  const std::string_view name_;
  const std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int last_line_ = 1;
  int nesting_ = 0;
};

}  // namespace tarsier::alerting
