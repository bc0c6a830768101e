#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "query/parse/token.h"

namespace tarsier::query {

/// A query as words. The last token is kEndOfInput, or kError where the text stops making sense;
/// then `error` says why (and the token's range is what is wrong).
struct TokenList {
  std::vector<Token> tokens;
  std::string error;
};

/// Splits a query into tokens. Spaces and comments are dropped, strings are checked but not yet
/// unquoted, numbers and durations are only recognised. What a character means depends on whether
/// it stands in braces, in brackets or outside.
TokenList lex(std::string_view query);

}  // namespace tarsier::query
