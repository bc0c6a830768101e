#pragma once

#include "base/json_writer.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// Writes a parsed query as the tree that /api/v1/parse_query answers: objects with a `type`, keys
/// in alphabetical order.
void write_syntax_tree(JsonWriter& json, const Expr& e);

}  // namespace tarsier::query
