#pragma once

#include <span>
#include <string_view>

#include "tsdb/appender.h"

namespace tarsier::ingest {

/// What the sample names of a family of this type end in, beside the bare name.
std::span<const std::string_view> family_suffixes(tsdb::MetricType type);

/// Whether a sample called `metric` belongs to `family`, so that the family's TYPE, HELP and UNIT
/// describe it. In the Prometheus format the family of a counter already ends in `_total`.
bool is_in_family(std::string_view metric, std::string_view family, tsdb::MetricType type);

}  // namespace tarsier::ingest
