#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// The aggregations that make one element of each group. `parameter` has one value per step if the
/// operation takes one.
Result<StreamPtr> aggregate(Context& context, const Aggregate& aggregate, StreamPtr operand,
                            const std::vector<double>& parameter);

/// topk, bottomk, limitk and limit_ratio: choose elements and keep their labels. The result's
/// series are in the order of choice, so that with one step topk is descending.
Result<StreamPtr> select_elements(Context& context, const Aggregate& aggregate, StreamPtr operand,
                                  const std::vector<double>& parameter);

/// count_values(label, operand).
Result<StreamPtr> count_values(Context& context, const Aggregate& aggregate, StreamPtr operand,
                               const std::string& label);

}  // namespace tarsier::query
