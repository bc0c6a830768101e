#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/discovery_config.h"
#include "server/config.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// Reads every `*_sd_configs` of a scrape job. kInvalid with the place, also for the kinds we do
/// not know, which can come through http_sd.
Result<std::vector<ingest::DiscoveryConfig>> read_discoveries(MapReader& map,
                                                              const ConfigSources& sources);

/// A list of targets in YAML, as file discovery reads it.
Result<std::vector<ingest::TargetGroup>> parse_yaml_targets(std::string_view text);

}  // namespace tarsier::server
