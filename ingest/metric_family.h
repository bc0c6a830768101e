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

/// The family a sample called `metric` of that type belongs to, for who knows no better: its name
/// without the suffix. A counter keeps `_total`, which only OpenMetrics takes off.
std::string_view family_of(std::string_view metric, tsdb::MetricType type);

}  // namespace tarsier::ingest
