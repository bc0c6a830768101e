#pragma once

#include <vector>

#include "base/result.h"
#include "ingest/write_limits.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// `write_limits`: a list of limits by tenant.
Result<std::vector<ingest::WriteLimit>> read_write_limits(MapReader& top);
/// `ha_dedup`: which of two agents that send the same is listened to.
Result<ingest::HaDedup> read_ha_dedup(MapReader& top);
void render_write_limits(Emitter& out, const std::vector<ingest::WriteLimit>& limits,
                         const ingest::HaDedup& dedup);

}  // namespace tarsier::server
