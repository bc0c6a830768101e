#pragma once

#include "query/parse/ast.h"

namespace tarsier::query {

/// Wraps in StepInvariant the largest parts of the tree whose value cannot depend on the step
/// (because of `@`), so that they are evaluated once. Literals alone and range vectors stay bare.
ExprPtr wrap_step_invariants(ExprPtr root);

}  // namespace tarsier::query
