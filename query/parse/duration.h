#pragma once

#include "base/result.h"
#include "base/time.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// What duration expressions may ask about the query they stand in.
struct DurationContext {
  Duration step;   ///< 0 for an instant query.
  Duration range;  ///< End minus start; 0 for an instant query.
};

/// Computes every duration expression of the tree (ranges, subquery steps, offsets) and stores it
/// in `DurationValue::constant`. kInvalid with Prometheus' text, as in
/// "4:8: duration must be greater than 0" (byte offsets of the expression, not line and column).
Status resolve_durations(Expr& root, const DurationContext& context);

}  // namespace tarsier::query
