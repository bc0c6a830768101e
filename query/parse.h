#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/parse/ast.h"
#include "tsdb/matcher.h"

namespace tarsier::query {

/// What the parser accepts beyond the stable language, and how large a query may be.
struct ParseOptions {
  // What changes behaviour; the defaults are Prometheus'.

  bool experimental_functions = false;    ///< Also limitk and limit_ratio.
  bool extended_range_selectors = false;  ///< anchored, smoothed.
  bool fill_modifiers = false;            ///< fill, fill_left, fill_right.

  // Limits, so that no query can exhaust the stack or the memory of those who walk its tree.

  std::size_t length_max = std::size_t{1} << 20;  ///< Bytes.
  std::uint16_t nesting_max = 256;  ///< Parentheses, calls, unary signs, powers inside each other.
  std::uint16_t depth_max = 1024;   ///< Levels of the tree: also the length of `a + b + c + ...`.
};

/// Why a text is not a query: the first error, and where.
struct ParseError {
  SourcePosition position;
  SourceRange range;    ///< What is wrong, as bytes of the text.
  std::string message;  ///< "unexpected end of input".
  /// As Prometheus writes it: "1:5: parse error: unexpected end of input".
  std::string to_string() const;
};

/// Parses and type-checks one expression. On failure the Status is kInvalid with
/// `ParseError::to_string()`; `error`, if given, receives the parts. Any number of threads.
Result<ExprPtr> parse_expression(std::string_view query, const ParseOptions& options = {},
                                 ParseError* error = nullptr);

/// Parses a selector without range, offset or `@`: what match[] takes.
Result<std::vector<tsdb::Matcher>> parse_metric_selector(std::string_view text,
                                                         ParseError* error = nullptr);

}  // namespace tarsier::query
