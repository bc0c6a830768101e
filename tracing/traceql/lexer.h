#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

enum class TokenKind : std::uint8_t {
  kEnd,
  kSymbol,     ///< Punctuation; `text` is it.
  kWord,       ///< A name that is no literal and no intrinsic: `count`, `by`, `with`.
  kLiteral,    ///< `value` is it.
  kAttribute,  ///< `attribute` is it. Intrinsics too.
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::size_t offset = 0;  ///< Where it begins in the query.
  std::string_view text;   ///< As written, borrowed from the query.
  Static value;
  Attribute attribute;
};

/// Splits a query into tokens, a kEnd behind the last. kInvalid names the byte offset.
Result<std::vector<Token>> tokenize(std::string_view query);

}  // namespace tarsier::tracing::traceql
