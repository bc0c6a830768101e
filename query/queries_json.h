#pragma once

#include "base/json_writer.h"
#include "base/time.h"
#include "query/monitor.h"

namespace tarsier::query {

/// Writes what /api/tarsier/v1/queries tells: the queries that run, that ran last, that were slow.
void write_queries(JsonWriter& json, const QueryMonitor& monitor, Timestamp now);

}  // namespace tarsier::query
