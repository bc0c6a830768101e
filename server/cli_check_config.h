#pragma once

#include <span>
#include <string>

#include "server/cli_rules.h"

namespace tarsier::server {

/// `check config [--syntax-only] [--agent] [--lint=...] [--lint-fatal] [--ignore-unknown-fields]
/// FILE...`: configuration files, and the files of rules and objectives they name. 0: all are
/// valid; 1: some is not; 3: only a finding of the linter that is fatal by option.
int check_configs(std::span<const std::string> arguments, const CommandOutput& output);

}  // namespace tarsier::server
