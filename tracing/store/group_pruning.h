#pragma once

#include <vector>

#include "tracing/store/group_format.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing {

/// Whether some span of the group may pass one of the filters, as far as its directory tells. False
/// is certain but for what depends on spans elsewhere: with `knows_roots` false, conditions on the
/// root of a trace decide nothing.
bool may_match(const GroupDirectory& group, const std::vector<const traceql::Field*>& filters,
               bool knows_roots);

/// Whether the filter can be decided by the span and what it was sent under alone.
bool is_local(const traceql::Field& filter);

}  // namespace tarsier::tracing
