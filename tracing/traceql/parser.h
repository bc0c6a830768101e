#pragma once

#include <string_view>

#include "base/result.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

/// What is refused whatever it means: nobody types such queries, and evaluation recurses.
struct ParseLimits {
  std::size_t length_max = 64 << 10;
  std::size_t operator_count_max = 1000;
  std::size_t depth_max = 100;  ///< Parentheses inside each other.
};

/// Reads a TraceQL query (grafana.com/docs/tempo/latest/traceql). Checks what can be known without
/// data: types of literals, regular expressions, numbers of arguments. kInvalid with
/// `parse error at position N: ...`.
Result<Query> parse_query(std::string_view text, const ParseLimits& limits = {});

}  // namespace tarsier::tracing::traceql
