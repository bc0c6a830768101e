#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier::bench {

/// One question over the fleet of tests/support/fleet.h, as a dashboard or an alert asks it.
struct Query {
  enum class Kind : unsigned char { kInstant, kRange, kLabelValues };
  Kind kind;
  std::string_view text;  ///< PromQL, or a label's name.
  int step_seconds = 0;   ///< Of a range query.
};

/// Dashboards and alerts, over the last hour.
const std::vector<Query>& general_queries();
/// Capacity and reports, over the last six hours.
const std::vector<Query>& long_queries();

/// The path to GET, the range ending at `end_seconds`. Caches are asked to stay out of it.
std::string query_path(const Query& query, std::int64_t end_seconds, int range_seconds);
/// How many series (or values) a JSON answer holds.
std::size_t result_count(const Query& query, std::string_view answer);

}  // namespace tarsier::bench
