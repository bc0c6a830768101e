#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tarsier::server {

class Flags;

// --enable-feature: Prometheus' names, in comma-separated lists.

/// A zero is written where a scraped series says that it began to count.
inline constexpr std::string_view kStartZeroesFeature = "created-timestamp-zero-ingestion";

/// OTLP points of delta temporality are added up, or stored as they are.
inline constexpr std::string_view kAddUpDeltasFeature = "otlp-deltatocumulative";
inline constexpr std::string_view kStoreDeltasFeature = "otlp-native-delta-ingestion";

bool has_feature(const Flags& flags, std::string_view name);
/// What to tell of the names given: unknown ones, and those that change nothing here.
std::vector<std::string> feature_warnings(const Flags& flags);

}  // namespace tarsier::server
