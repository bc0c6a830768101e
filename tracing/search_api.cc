#include "tracing/search_api.h"

#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <vector>

#include "base/api.h"
#include "tracing/tempo_json.h"
#include "tracing/tempo_time.h"

namespace tarsier::tracing {
namespace {

constexpr std::size_t kLimitDefault = 20;
constexpr std::size_t kLimitMax = 1000;
constexpr std::size_t kFacetValuesMax = 20;

Result<std::size_t> size_parameter(const HttpRequest& request, std::string_view name,
                                   std::size_t default_value, std::size_t max) {
  const Result<std::size_t> n = parse_api_limit(request.parameter(name).value_or(""));
  if (!n.ok()) return invalid_parameter(name, n.status().message());
  return *n == 0 ? default_value : std::min(*n, max);
}

Result<SearchRequest> read_request(const HttpRequest& request) {
  SearchRequest out{.query = std::string(request.parameter("q").value_or(""))};
  if (out.query.empty()) out.query = "{}";
  out.limit = TRY(size_parameter(request, "limit", kLimitDefault, kLimitMax));
  out.spans_per_set = TRY(size_parameter(request, "spss", 3, kLimitMax));
  const auto time = [&](std::string_view name, UnixNanos& value) -> Status {
    const std::string_view text = request.parameter(name).value_or("");
    if (text.empty()) return {};
    const Result<std::int64_t> ns = parse_tempo_time_ns(text);
    if (!ns.ok()) return invalid_parameter(name, ns.status().message());
    value = static_cast<UnixNanos>(*ns);
    return {};
  };
  TRY(time("start", out.range.begin_ns));
  TRY(time("end", out.range.end_ns));
  return out;
}

void write_facet(JsonWriter& json, std::string_view name,
                 const std::map<std::string, std::uint64_t>& counts) {
  std::vector<std::pair<std::string, std::uint64_t>> ranked(counts.begin(), counts.end());
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (ranked.size() > kFacetValuesMax) ranked.resize(kFacetValuesMax);
  json.key(name).begin_array();
  for (const auto& [value, count] : ranked) {
    json.begin_object().field("value", value).field("count", count).end_object();
  }
  json.end_array();
}

/// How many of the traces found have what.
void write_facets(JsonWriter& json, const std::vector<MatchedTrace>& traces) {
  std::map<std::string, std::uint64_t> services, roots, operations, states;
  std::map<int, std::uint64_t> durations;  // By the power of two of milliseconds.
  for (const MatchedTrace& trace : traces) {
    bool has_error = false;
    for (const auto& [service, counts] : trace.services) {
      ++services[service];
      has_error = has_error || counts.errors > 0;
    }
    if (trace.has_root) {
      ++roots[trace.root_service];
      ++operations[trace.root_name];
    }
    ++states[has_error ? "error" : "ok"];
    ++durations[static_cast<int>(std::bit_width(trace.duration_ns / 1'000'000))];
  }
  json.key("facets").begin_object();
  write_facet(json, "service", services);
  write_facet(json, "rootService", roots);
  write_facet(json, "rootName", operations);
  write_facet(json, "status", states);
  json.key("durationMs").begin_array();
  for (const auto& [power, count] : durations) {
    json.begin_object().field("below", std::uint64_t{1} << std::min(power, 62));
    json.field("count", count).end_object();
  }
  json.end_array().end_object();
}

}  // namespace

HttpResponse search_traces(const TraceQueries& queries, const HttpRequest& request) {
  const Result<SearchRequest> wanted = read_request(request);
  if (!wanted.ok()) return api_error(wanted.status());
  const Result<SearchAnswer> answer = queries.search(*wanted, *request.cancel);
  if (!answer.ok()) return api_error(answer.status());
  ApiNotes notes;
  if (!answer->problem.empty()) notes.warnings.push_back(answer->problem);
  return api_success(
      [&](JsonWriter& json) {
        json.begin_object().key("traces").begin_array();
        for (const MatchedTrace& trace : answer->traces) {
          json.begin_object();
          write_matched_trace(json, trace);
          json.field("undecided", trace.is_undecided).end_object();
        }
        json.end_array();
        write_facets(json, answer->traces);
        const QueryCosts& costs = answer->costs;
        json.key("costs").begin_object().field("traces", costs.traces).field("spans", costs.spans);
        json.field("bytes", costs.bytes).field("parts", costs.parts);
        json.field("pruned", costs.pruned).end_object().end_object();
      },
      notes);
}

}  // namespace tarsier::tracing
