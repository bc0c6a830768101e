#pragma once

#include "query/parse/ast.h"

namespace tarsier::query {

/// Computes the parts of the tree that are made of numbers alone: `60 * 5` becomes `300`.
ExprPtr fold_constants(ExprPtr root);

}  // namespace tarsier::query
