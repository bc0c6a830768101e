#pragma once

#include "base/result.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// Completes the second argument of every info() in the tree, or adds it: its matchers become those
/// its info series are selected by (`target_info` unless they say otherwise), and it is read at the
/// times of the first selector in the first argument. REQUIRES: durations are resolved.
Status complete_info_selectors(Expr& root);

}  // namespace tarsier::query
