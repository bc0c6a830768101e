#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::server {

/// The commands that are not the server: `version`, `check config FILE...`, `check rules`, `test
/// rules`, `query instant|range SERVER EXPR`. Output and exit codes are promtool's. REQUIRES:
/// `is_command(arguments)`.
int run_command(std::span<const std::string> arguments);
/// Whether the first argument is no flag.
bool is_command(std::span<const std::string> arguments);
/// What --help prints.
std::string usage();
/// What --version prints.
std::string version_text();

/// The body of a query's answer as promtool prints results: `up{job="a"} => 1 @[1700000000]`.
/// kInvalid with the server's own error when it refused.
Result<std::string> format_query_answer(std::string_view body);

}  // namespace tarsier::server
