#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/http.h"
#include "base/result.h"
#include "server/cli_rules.h"

namespace tarsier::server {

/// `check dashboards [--url=SERVER] [--lint-fatal] FILE...`: dashboards of Grafana, every
/// expression parsed; with a server every one asked, and wanted to give series unless its panel
/// says that none is usual. 0: all are good; 1: some is not; 3: only findings, and they are fatal
/// by option.
int check_dashboards(std::span<const std::string> arguments,
                     const std::function<Result<HttpResponse>(HttpFetch)>& ask,
                     const CommandOutput& output);

}  // namespace tarsier::server
