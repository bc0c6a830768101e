#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::server {

/// `tarsier sampling explain SERVER TRACE_ID`, `simulate SERVER FILE`, `stats SERVER`; gives the
/// exit code.
int run_sampling_command(std::span<const std::string> arguments);
/// `tarsier check sampling FILE...`: configurations of Tarsier or of the OpenTelemetry collector,
/// or a list of policies alone.
int check_sampling_files(std::span<const std::string> paths);

/// The policies in a file, as JSON, with the settings beside them checked.
Result<std::string> sampling_policies_of(std::string_view yaml);
/// What `sampling explain` prints for the answer of sampling/decisions.
Result<std::string> format_decision(std::string_view body);
/// What `sampling simulate` prints for the answer of sampling/simulate.
Result<std::string> format_simulation(std::string_view body);

}  // namespace tarsier::server
