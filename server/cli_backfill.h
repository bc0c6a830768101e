#pragma once

#include <span>
#include <string>

#include "base/time.h"
#include "server/cli_rules.h"
#include "server/remote_source.h"

namespace tarsier::server {

/// `tsdb create-blocks-from rules --start=T [--end=T] [--url=U] [--output-dir=D]
/// [--eval-interval=D] FILE...`: writes what recording rules would have recorded from a server's
/// data, native histograms too, as two-hour blocks. Rules see what earlier ones of the files
/// recorded. Alerting rules are left out. 0, or 1 when something failed.
int create_blocks_from_rules(std::span<const std::string> arguments, Timestamp now,
                             const AskServer& ask, const CommandOutput& output);

}  // namespace tarsier::server
