#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tracing/traceql/span_source.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

/// Rows of one trace, ascending, each once.
using Rows = std::vector<std::uint32_t>;

/// The rows `left relation right` gives. `sets` is indexed by row. O(n log n), by the nested sets.
Rows relate(const Rows& left, const Rows& right, Relation relation, RelationForm form,
            std::span<const NestedSet> sets);

}  // namespace tarsier::tracing::traceql
