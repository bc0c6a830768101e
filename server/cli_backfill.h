#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "server/cli_rules.h"

namespace tarsier::server {

/// The body that a GET of the URL answers.
using FetchText = std::function<Result<std::string>(const std::string& url)>;

/// `tsdb create-blocks-from rules --start=T [--end=T] [--url=U] [--output-dir=D]
/// [--eval-interval=D] FILE...`: asks a server for what recording rules would have recorded and
/// writes it as two-hour blocks. Alerting rules are left out. 0, or 1 when something failed.
int create_blocks_from_rules(std::span<const std::string> arguments, Timestamp now,
                             const FetchText& fetch, const CommandOutput& output);

}  // namespace tarsier::server
