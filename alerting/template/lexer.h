#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier::alerting {

enum class TokenType : unsigned char {
  kError,  ///< text: what is wrong. Always the last token.
  kEnd,
  kText,
  kLeftDelimiter,
  kRightDelimiter,
  kSpace,
  kAssign,
  kDeclare,
  kPipe,
  kLeftParenthesis,
  kRightParenthesis,
  kCharacter,  ///< Any other printable one, such as `,`.
  kBool,
  kCharacterConstant,
  kNumber,
  kString,
  kRawString,
  kIdentifier,
  kField,
  kVariable,
  kDot,
  kNil,
  kBlock,
  kBreak,
  kContinue,
  kDefine,
  kElse,
  kEndKeyword,
  kIf,
  kRange,
  kTemplate,
  kWith,
};

struct Token {
  TokenType type = TokenType::kEnd;
  std::string text;
  std::size_t position = 0;
  int line = 1;
};

/// How Go's parser shows a token in an error text: `"foo"`, `<end>`, `EOF`.
std::string describe(const Token& token);

/// Cuts a template into tokens: text outside `{{ }}`, words inside. Comments and what `-` trims are
/// gone. The last token is kEnd or kError.
std::vector<Token> lex_template(std::string_view text);

}  // namespace tarsier::alerting
