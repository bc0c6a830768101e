#pragma once

#include <string>
#include <string_view>

#include "base/http.h"
#include "base/result.h"
#include "server/config.h"
#include "server/flags.h"
#include "tsdb/options.h"

namespace tarsier::server {

// `--agent`: scrape and receive, forward by remote write, answer no queries, keep no history.

bool is_agent(const Flags& flags);
/// Where this mode keeps its data: --storage.agent.path or --storage.tsdb.path.
const std::string& data_path(const Flags& flags);
/// kInvalid when a flag of the other mode is set: exit code 3.
Status check_mode_flags(const Flags& flags);
/// Storage that keeps little more than the log: what is not sent yet is there.
tsdb::Options agent_storage_options(const Flags& flags, tsdb::Options options);
/// Whether a path needs history; an agent answers with the text Prometheus' has.
bool is_refused_by_agent(std::string_view path);
HttpResponse agent_refusal();

}  // namespace tarsier::server
