#pragma once

#include "base/json_writer.h"
#include "query/value.h"

namespace tarsier::query {

/// Writes the object Prometheus calls `stats`: timings in float seconds, samples as numbers.
void write_statistics(JsonWriter& json, const QueryStatistics& statistics, double queued_seconds);

}  // namespace tarsier::query
