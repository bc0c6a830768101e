#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "tracing/trace_queries.h"

namespace tarsier::tracing {

// Tempo's answers, field for field: Grafana refuses one that has more.

std::string tempo_search_json(const SearchAnswer& answer);
std::string tempo_tags_v1_json(const std::vector<TagNames>& tags);
/// `scope` empty: all of them and the intrinsics.
std::string tempo_tags_v2_json(const std::vector<TagNames>& tags, std::string_view scope,
                               std::size_t limit);
std::string tempo_tag_values_v1_json(const std::vector<TagValue>& values);
std::string tempo_tag_values_v2_json(const std::vector<TagValue>& values);
std::string tempo_range_json(const MetricsAnswer& answer);
std::string tempo_instant_json(const MetricsAnswer& answer);
/// What a search shows of a trace, as members of an object that is open.
void write_matched_trace(JsonWriter& json, const MatchedTrace& trace);
std::int64_t default_metrics_step_ns(std::int64_t range_ns);

}  // namespace tarsier::tracing
