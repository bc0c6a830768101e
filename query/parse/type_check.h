#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "query/parse/ast.h"

namespace tarsier::query {

/// What is wrong with a tree that is well formed but makes no sense.
struct TypeError {
  SourceRange range;
  std::string message;
};

/// Checks types, argument counts, matching clauses and selectors of a whole tree, and completes
/// what follows from them: set operators become many-to-many, matching is dropped where an operand
/// is a scalar, the second argument of info() becomes a label selector. The first error in the
/// order in which Prometheus looks, or nothing.
std::optional<TypeError> check_types(Expr& root, std::string_view query);

}  // namespace tarsier::query
