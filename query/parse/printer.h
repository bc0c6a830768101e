#pragma once

#include <string>

#include "query/parse/ast.h"

namespace tarsier::query {

/// The expression on one line, in the canonical form Prometheus shows: parsing it gives the same
/// tree again.
std::string print(const Expr& e);

/// The same over several indented lines where one line would be longer than 100 bytes: what
/// /api/v1/format_query answers.
std::string print_pretty(const Expr& e);

}  // namespace tarsier::query
