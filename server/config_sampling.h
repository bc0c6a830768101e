#pragma once

#include <string>

#include "base/json_reader.h"
#include "base/result.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"
#include "tracing/sampling_config.h"

namespace tarsier::server {

/// YAML as JSON: plain scalars that are numbers, booleans or null become these, all others strings.
/// kInvalid for keys that are no scalars.
Result<JsonValue> json_of(const YamlNode& node);

/// Reads `traces.sampling`; kInvalid names the place in the tree. What has no effect is a warning.
Result<tracing::SamplingConfig> read_sampling(const YamlNode& node, Problems& problems);
/// What differs from the defaults, as YAML two deep; nothing if nothing does.
void render_sampling(Emitter& out, const tracing::SamplingConfig& sampling);

}  // namespace tarsier::server
