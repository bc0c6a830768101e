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

}  // namespace tarsier::server
