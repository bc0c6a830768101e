#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/scrape_config.h"
#include "server/config_reader.h"

namespace tarsier::server {

// What scrape jobs and the Alertmanagers have in common: where targets come from and how they are
// relabelled.

/// A list of relabelling rules; `what` a null entry is, for the message: "target relabeling rule in
/// scrape config".
Result<std::vector<ingest::RelabelRule>> read_relabel(MapReader& map, std::string_view name,
                                                      std::string_view what,
                                                      ingest::NameValidation validation);

/// `static_configs`.
Result<std::vector<ingest::TargetGroup>> read_static_configs(MapReader& map,
                                                             ingest::NameValidation validation);

}  // namespace tarsier::server
