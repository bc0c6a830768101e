#include "server/openapi.h"

#include <initializer_list>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "server/version.h"

namespace tarsier::server {
namespace {

struct Parameter {
  std::string_view name;
  std::string_view schema;
  bool required = false;
};

struct Endpoint {
  std::string_view path;
  std::string_view methods;  ///< Blank-separated, lower case.
  std::string_view id;
  std::string_view summary;
  std::vector<Parameter> parameters;
};

constexpr std::string_view kString = "type: string";
constexpr std::string_view kNumber = "type: integer";
constexpr std::string_view kSelectors = "type: array, items: {type: string}";

std::vector<Endpoint> endpoints() {
  const std::vector<Parameter> listing = {
      {"start", kString}, {"end", kString}, {"match[]", kSelectors}, {"limit", kNumber}};
  std::vector<Parameter> series = listing;
  series[2].required = true;
  std::vector<Parameter> values = listing;
  return {
      {"/query",
       "get post",
       "query",
       "Evaluate an instant query",
       {{"query", kString, true},
        {"time", kString},
        {"timeout", kString},
        {"limit", kNumber},
        {"lookback_delta", kString},
        {"max_source_resolution", kString},
        {"stats", kString}}},
      {"/query_range",
       "get post",
       "query-range",
       "Evaluate a range query",
       {{"query", kString, true},
        {"start", kString, true},
        {"end", kString, true},
        {"step", kString, true},
        {"timeout", kString},
        {"limit", kNumber},
        {"lookback_delta", kString},
        {"max_source_resolution", kString},
        {"stats", kString}}},
      {"/query_exemplars",
       "get post",
       "query-exemplars",
       "Exemplars of a query's series",
       {{"query", kString, true}, {"start", kString}, {"end", kString}}},
      {"/format_query",
       "get post",
       "format-query",
       "A query in canonical form",
       {{"query", kString, true}}},
      {"/parse_query",
       "get post",
       "parse-query",
       "A query's syntax tree",
       {{"query", kString, true}}},
      {"/query_cost",
       "get post",
       "query-cost",
       "What an instant query would cost",
       {{"query", kString, true}, {"time", kString}}},
      {"/query_range_cost",
       "get post",
       "query-range-cost",
       "What a range query would cost",
       {{"query", kString, true},
        {"start", kString, true},
        {"end", kString, true},
        {"step", kString, true}}},
      {"/series", "get post", "series", "Series that match selectors", series},
      {"/labels", "get post", "labels", "Label names", listing},
      {"/label/{name}/values", "get", "label-values", "Values of a label", values},
      {"/search/metric_names",
       "get post",
       "search-metric-names",
       "Search metric names",
       {{"search[]", kSelectors}, {"match[]", kSelectors}, {"limit", kNumber}}},
      {"/search/label_names",
       "get post",
       "search-label-names",
       "Search label names",
       {{"search[]", kSelectors}, {"match[]", kSelectors}, {"limit", kNumber}}},
      {"/search/label_values",
       "get post",
       "search-label-values",
       "Search values of a label",
       {{"label", kString, true}, {"search[]", kSelectors}, {"limit", kNumber}}},
      {"/metadata",
       "get",
       "metadata",
       "Metadata of metrics",
       {{"limit", kNumber}, {"limit_per_metric", kNumber}, {"metric", kString}}},
      {"/targets",
       "get",
       "targets",
       "Scrape targets",
       {{"state", kString}, {"scrapePool", kString}}},
      {"/targets/metadata",
       "get",
       "targets-metadata",
       "Metadata by target",
       {{"match_target", kString}, {"metric", kString}, {"limit", kNumber}}},
      {"/targets/relabel_steps",
       "get",
       "targets-relabel-steps",
       "What each relabelling rule makes of labels",
       {{"scrapePool", kString}, {"labels", kString}}},
      {"/scrape_pools", "get", "scrape-pools", "Names of scrape pools", {}},
      {"/scrape_pools/config",
       "get",
       "scrape-pool-config",
       "Configuration of a scrape pool",
       {{"scrapePool", kString}}},
      {"/rules", "get", "rules", "Rule groups", {{"type", kString}, {"group_limit", kNumber}}},
      {"/alerts", "get", "alerts", "Active alerts", {}},
      {"/alertmanagers", "get", "alertmanagers", "Alertmanagers in use", {}},
      {"/status/config", "get", "status-config", "The configuration in force", {}},
      {"/status/flags", "get", "status-flags", "The command line", {}},
      {"/status/runtimeinfo", "get", "status-runtimeinfo", "The running process", {}},
      {"/status/buildinfo", "get", "status-buildinfo", "The build", {}},
      {"/status/tsdb", "get", "status-tsdb", "Cardinality of the head", {{"limit", kNumber}}},
      {"/status/tsdb/blocks", "get", "status-tsdb-blocks", "Blocks on disk", {}},
      {"/status/walreplay", "get", "status-walreplay", "Progress of the replay", {}},
      {"/status/self_metrics",
       "get",
       "status-self-metrics",
       "The server's own metrics",
       {{"metric_name_pattern", kString}}},
      {"/features", "get", "features", "What this server can do", {}},
      {"/notifications", "get", "notifications", "What users should know now", {}},
      {"/notifications/live", "get", "notifications-live", "The same as events", {}},
      {"/admin/tsdb/snapshot",
       "post put",
       "snapshot",
       "Snapshot the data",
       {{"skip_head", kString}}},
      {"/admin/tsdb/delete_series",
       "post put",
       "delete-series",
       "Delete series",
       {{"match[]", kSelectors, true}, {"start", kString}, {"end", kString}}},
      {"/admin/tsdb/clean_tombstones", "post put", "clean-tombstones", "Remove deleted data", {}},
      {"/admin/tsdb/compact", "post put", "compact", "Seal everything", {{"seal", kString}}},
      {"/admin/tsdb/maintenance",
       "post put",
       "maintenance",
       "State of background work on blocks",
       {{"action", kString}}},
      {"/read", "post", "remote-read", "Prometheus remote read", {}},
      {"/write", "post", "remote-write", "Prometheus remote write", {}},
  };
}

void append_endpoint(std::string& out, const Endpoint& endpoint) {
  out += fmt::format("  {}:\n", endpoint.path);
  for (std::string_view rest = endpoint.methods; !rest.empty();) {
    const std::size_t size = std::min(rest.find(' '), rest.size());
    const std::string_view method = rest.substr(0, size);
    rest.remove_prefix(std::min(size + 1, rest.size()));
    out += fmt::format("    {}:\n      operationId: {}{}\n      summary: {}\n", method, endpoint.id,
                       method == "get" || endpoint.methods.find(' ') == std::string_view::npos
                           ? ""
                           : fmt::format("-{}", method),
                       endpoint.summary);
    const bool has_name = endpoint.path.find("{name}") != std::string_view::npos;
    if (!endpoint.parameters.empty() || has_name) out += "      parameters:\n";
    if (has_name) {
      out += "        - {name: name, in: path, required: true, schema: {type: string}}\n";
    }
    for (const Parameter& p : endpoint.parameters) {
      out += fmt::format("        - {{name: \"{}\", in: query, required: {}, schema: {{{}}}}}\n",
                         p.name, p.required, p.schema);
    }
    out +=
        "      responses:\n"
        "        \"200\": {description: Success}\n"
        "        default: {description: \"An error\"}\n";
  }
}

}  // namespace

HttpResponse openapi_response(const HttpRequest& request) {
  const bool is_newer = request.parameter("openapi_version").value_or("") == "3.2";
  HttpResponse response;
  response.content_type = "application/yaml; charset=utf-8";
  response.headers.emplace_back("Cache-Control", "no-cache, no-store, must-revalidate");
  response.body = fmt::format(
      "openapi: {}\ninfo:\n  title: Prometheus HTTP API of Tarsier\n  version: \"{}\"\n"
      "servers:\n  - url: /api/v1\npaths:\n",
      is_newer ? "3.2.0" : "3.1.0", version());
  for (const Endpoint& endpoint : endpoints()) append_endpoint(response.body, endpoint);
  return response;
}

}  // namespace tarsier::server
