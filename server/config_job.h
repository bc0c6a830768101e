#pragma once

#include <string>

#include "base/result.h"
#include "ingest/scrape_config.h"
#include "server/config.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// Reads one entry of `scrape_configs`, which stands at `path`, with the defaults of `global`
/// filled in. What has the wrong shape goes to `problems` (the result then means nothing); kInvalid
/// with the place for what has the shape and makes no sense.
Result<ingest::ScrapeConfig> read_job(const YamlNode& node, const std::string& path,
                                      const GlobalConfig& global, const ConfigSources& sources,
                                      Problems& problems);

}  // namespace tarsier::server
