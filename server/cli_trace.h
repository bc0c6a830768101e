#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::server {

/// `tarsier trace search|get|explain`; gives the exit code.
int run_trace_command(std::span<const std::string> arguments);

/// What `trace search` prints for the answer of /api/tarsier/v1/traces/search: a line per trace.
Result<std::string> format_found_traces(std::string_view body);
/// What `trace get` prints for a trace of Jaeger's API: its spans as a tree.
Result<std::string> format_trace_tree(std::string_view body);

}  // namespace tarsier::server
