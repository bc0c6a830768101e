#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/discovery_config.h"
#include "server/config.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// How one kind of discovery is configured: the name of its section, how an entry is read (kInvalid
/// with the place) and how it is shown again, without its dash.
struct DiscoverySection {
  std::string_view name;
  Result<ingest::DiscoveryConfig> (*read)(MapReader& map, const ConfigSources& sources);
  void (*render)(Emitter& out, int depth, const ingest::DiscoveryConfig& config);
};

extern const DiscoverySection kKubernetesSection;

/// The sections there are.
std::vector<std::string_view> discovery_sections();

/// Reads every `*_sd_configs` of a scrape job. kInvalid with the place, also for the kinds we do
/// not know, which can come through http_sd.
Result<std::vector<ingest::DiscoveryConfig>> read_discoveries(MapReader& map,
                                                              const ConfigSources& sources);

/// Every discovery under the name of its section.
void render_discoveries(Emitter& out, int depth,
                        const std::vector<ingest::DiscoveryConfig>& discoveries);

/// A YAML document as JSON in which all scalars are strings, for kinds that read some.
Result<std::string> yaml_to_json(std::string_view text);

/// A list of targets in YAML, as file discovery reads it.
Result<std::vector<ingest::TargetGroup>> parse_yaml_targets(std::string_view text);

}  // namespace tarsier::server
