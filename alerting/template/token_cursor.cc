#include "alerting/template/token_cursor.h"

namespace tarsier::alerting {
namespace {

constexpr int kNestingMax = 100;

}  // namespace

const Token& TokenCursor::next() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  last_line_ = token.line;
  return token;
}

const Token& TokenCursor::peek_word() {
  while (peek().type == TokenType::kSpace) ++at_;
  last_line_ = peek().line;
  return peek();
}

const Token& TokenCursor::next_word() {
  peek_word();
  return next();
}

Status TokenCursor::expect(TokenType type, std::string_view context) {
  const Token& token = next_word();
  return token.type == type ? Status() : unexpected(token, context);
}

Status TokenCursor::enter() {
  return ++nesting_ > kNestingMax ? fail("actions are nested too deeply") : Status();
}

Status TokenCursor::fail(const std::string& why) const {
  return invalid("template: " + std::string(name_) + ":" + std::to_string(last_line_) + ": " + why);
}

Status TokenCursor::unexpected(const Token& token, std::string_view context) {
  if (token.type == TokenType::kError) return fail(token.text);
  return fail("unexpected " + describe(token) + " in " + std::string(context));
}

}  // namespace tarsier::alerting
