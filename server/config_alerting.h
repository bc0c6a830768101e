#pragma once

#include "base/result.h"
#include "ingest/relabel.h"
#include "server/config.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// Reads the `alerting` section. What has the wrong shape goes to `problems`; kInvalid with the
/// place for what has the shape and makes no sense.
Result<AlertingConfig> read_alerting(const YamlNode& node, ingest::NameValidation validation,
                                     const ConfigSources& sources, Problems& problems);

}  // namespace tarsier::server
