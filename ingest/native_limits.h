#pragma once

#include <cstdint>

#include "base/result.h"
#include "ingest/scrape_config.h"
#include "tsdb/histogram.h"

namespace tarsier::ingest {

/// Brings a scraped native histogram within the job's limits: first the least growth factor of its
/// buckets, then their number, halving the resolution until it fits. kInvalid if it is no valid
/// histogram, kLimit if nothing makes it fit. Custom buckets are never merged.
Status apply_native_limits(const ScrapeConfig& config, tsdb::AnyHistogram& histogram);

/// The finest schema whose buckets grow by `factor` at least: 2^(2^-schema) >= factor.
std::int32_t finest_schema(double factor);

}  // namespace tarsier::ingest
