#include "server/features_api.h"

#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/api.h"
#include "query/functions.h"
#include "server/feature_flags.h"

namespace tarsier::server {
namespace {

using List = std::initializer_list<std::pair<std::string_view, bool>>;

constexpr std::string_view kTemplateFunctions[] = {"args",
                                                   "externalURL",
                                                   "first",
                                                   "graphLink",
                                                   "humanize",
                                                   "humanize1024",
                                                   "humanizeDuration",
                                                   "humanizePercentage",
                                                   "humanizeTimestamp",
                                                   "label",
                                                   "match",
                                                   "now",
                                                   "parseDuration",
                                                   "pathPrefix",
                                                   "query",
                                                   "reReplaceAll",
                                                   "safeHtml",
                                                   "sortByLabel",
                                                   "stripDomain",
                                                   "stripPort",
                                                   "strvalue",
                                                   "tableLink",
                                                   "title",
                                                   "toDuration",
                                                   "toLower",
                                                   "toTime",
                                                   "toUpper",
                                                   "urlQueryEscape",
                                                   "value"};

void write_category(JsonWriter& json, std::string_view name, List features) {
  json.key(name).begin_object();
  for (const auto& [feature, is_on] : features) json.field(feature, is_on);
  json.end_object();
}

}  // namespace

HttpResponse features_response(const Flags& flags) {
  const auto has = [&](std::string_view name) { return has_feature(flags, name); };
  const bool is_experimental = has("promql-experimental-functions");
  return api_success([&](JsonWriter& json) {
    json.begin_object();
    write_category(json, "api",
                   {{"admin", flags.is_on("web.enable-admin-api")},
                    {"exclude_alerts", true},
                    {"label_values_match", true},
                    {"lifecycle", flags.is_on("web.enable-lifecycle")},
                    {"openapi_3.1", true},
                    {"openapi_3.2", true},
                    {"otlp_write_receiver", flags.is_on("web.enable-otlp-receiver")},
                    {"query_stats", true},
                    {"query_warnings", true},
                    {"remote_write_receiver", flags.is_on("web.enable-remote-write-receiver")},
                    {"search", has("search-api")},
                    {"search_fuzz_alg_jarowinkler", has("search-api")},
                    {"search_fuzz_alg_subsequence", has("search-api")},
                    {"time_range_labels", true},
                    {"time_range_series", true}});
    write_category(json, "otlp_receiver",
                   {{"delta_conversion", false}, {"native_delta_ingestion", false}});
    write_category(json, "prometheus",
                   {{"agent_mode", false},
                    {"auto_reload_config", false},
                    {"enable_ui", true},
                    {"server_mode", true}});
    write_category(json, "promql",
                   {{"anchored", has("promql-extended-range-selectors")},
                    {"at_modifier", true},
                    {"bool", true},
                    {"by", true},
                    {"delayed_name_removal", has("promql-delayed-name-removal")},
                    {"duration_expr", true},
                    {"fill", has("promql-binop-fill-modifiers")},
                    {"fill_left", has("promql-binop-fill-modifiers")},
                    {"fill_right", has("promql-binop-fill-modifiers")},
                    {"group_left", true},
                    {"group_right", true},
                    {"ignoring", true},
                    {"negative_offset", true},
                    {"offset", true},
                    {"on", true},
                    {"per_query_lookback_delta", true},
                    {"per_step_stats", has("promql-per-step-stats")},
                    {"smoothed", has("promql-extended-range-selectors")},
                    {"subqueries", true},
                    {"type_and_unit_labels", has("type-and-unit-labels")},
                    {"without", true}});
    json.key("promql_functions").begin_object();
    for (const query::FunctionName& function : query::function_names()) {
      json.field(function.name, is_experimental || !function.is_experimental);
    }
    json.end_object();
    write_category(json, "promql_operators",
                   {{"!=", true},
                    {"!~", true},
                    {"%", true},
                    {"*", true},
                    {"+", true},
                    {"-", true},
                    {"/", true},
                    {"<", true},
                    {"</", true},
                    {"<=", true},
                    {"==", true},
                    {"=~", true},
                    {">", true},
                    {">/", true},
                    {">=", true},
                    {"@", true},
                    {"^", true},
                    {"and", true},
                    {"atan2", true},
                    {"avg", true},
                    {"bottomk", true},
                    {"count", true},
                    {"count_values", true},
                    {"group", true},
                    {"limitk", is_experimental},
                    {"limit_ratio", is_experimental},
                    {"max", true},
                    {"min", true},
                    {"or", true},
                    {"quantile", true},
                    {"stddev", true},
                    {"stdvar", true},
                    {"sum", true},
                    {"topk", true},
                    {"unless", true}});
    write_category(json, "rules",
                   {{"concurrent_rule_eval", has("concurrent-rule-eval")},
                    {"keep_firing_for", true},
                    {"query_offset", true}});
    write_category(json, "scrape",
                   {{"extra_scrape_metrics", true},
                    {"start_timestamp_zero_ingestion", false},
                    {"type_and_unit_labels", false}});
    write_category(
        json, "service_discovery_providers",
        {{"dns", true}, {"file", true}, {"http", true}, {"kubernetes", true}, {"static", true}});
    json.key("templating_functions").begin_object();
    for (const std::string_view name : kTemplateFunctions) json.field(name, true);
    json.end_object();
    write_category(json, "tsdb",
                   {{"delayed_compaction", false},
                    {"exemplar_storage", true},
                    {"histograms_st_encoding", false},
                    {"isolation", true},
                    {"native_histograms", true},
                    {"st_storage", false},
                    {"use_uncached_io", false},
                    {"xor2_encoding", false}});
    write_category(json, "ui", {});
    json.end_object();
  });
}

}  // namespace tarsier::server
