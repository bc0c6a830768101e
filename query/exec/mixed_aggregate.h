#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "query/exec/context.h"
#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// sum and avg of groups that may have histograms, in the cells of `rows`. Gives what keeps the
/// histograms alive.
Result<HistogramOwner> fold_mixed(Context& context, const Aggregate& aggregate,
                                  const VectorStream& stream,
                                  const std::vector<std::uint32_t>& groups, std::size_t group_count,
                                  std::vector<double>& rows);

}  // namespace tarsier::query
