#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::tracing {

/// What a TraceQL query will do, for people: its canonical form, its stages, which conditions let
/// it pass over stored groups, which attributes are read.
Result<std::string> explain_traceql(std::string_view query);

}  // namespace tarsier::tracing
