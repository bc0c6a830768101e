#pragma once

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// `left op right` between two vectors, for arithmetic and comparisons. When every signature has
/// one series on each side that must be unique, partners are found once per series and rows stream
/// through; otherwise (labels that changed over time, fill values) elements are matched step by
/// step.
Result<StreamPtr> join(Context& context, const Binary& binary, StreamPtr left, StreamPtr right);

/// `left and|or|unless right`.
Result<StreamPtr> combine_sets(Context& context, const Binary& binary, StreamPtr left,
                               StreamPtr right);

}  // namespace tarsier::query
