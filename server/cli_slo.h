#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/cli_rules.h"

namespace tarsier::server {

/// `check slo FILE...`: reads files of objectives; prints what each tier does and what is
/// suspicious. 0: all are valid; 1: some is not.
int check_slos(std::span<const std::string> arguments, const CommandOutput& output);

/// `test slo FILE...`: replays described series and compares the alerts. 0: all passed.
int test_slos(std::span<const std::string> arguments, const CommandOutput& output);

/// `slo list|show|generate|backtest|import`
int run_slo_command(std::span<const std::string> arguments, const CommandOutput& output);

/// `alert explain [--start=T] [--end=T] SERVER ID`
int explain_alert(std::span<const std::string> arguments, const CommandOutput& output);

/// What `slo list` prints for the answer of /api/tarsier/v1/slos: one line per objective and group.
Result<std::string> format_slos(std::string_view body);
/// What `slo backtest` prints.
Result<std::string> format_backtest(std::string_view body);
/// What `alert explain` prints for the answer of /api/tarsier/v1/alerts/<id>/timeline.
Result<std::string> format_timeline(std::string_view body);

}  // namespace tarsier::server
