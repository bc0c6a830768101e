#include "server/cardinality_api.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/api.h"
#include "base/rfc3339.h"
#include "query/monitor.h"
#include "server/clock.h"
#include "server/handlers.h"
#include "server/router.h"
#include "server/routes.h"
#include "server/slo_wiring.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kLimitDefault = 100;
constexpr std::size_t kMetricsMax = 100'000;

/// Written by the server itself: relabelling scraped metrics cannot drop them.
bool is_written_here(std::string_view name) {
  return name == "up" || name == "ALERTS" || name == "ALERTS_FOR_STATE" ||
         name.starts_with("scrape_") || name.starts_with("tarsier_slo_") ||
         name.starts_with("traces_") || name.find(':') != std::string_view::npos;
}

UsageSources sources_of(const Doors& doors, const SloWiring* slos) {
  return {.usage = doors.monitor->usage(),
          .since = doors.monitor->usage_since(),
          .statistics = [&doors](std::size_t limit) { return doors.db->head_statistics(limit); },
          .others = slos == nullptr ? std::vector<std::string>() : slos->indicators()};
}

}  // namespace

HttpResponse suggestions_response(const HttpRequest& request, const UsageSources& sources,
                                  Timestamp now) {
  const Result<std::size_t> limit = parse_api_limit(request.parameter("limit").value_or(""));
  if (!limit.ok()) return api_error(invalid_parameter("limit", limit.status().message()));
  const std::size_t shown_max = *limit == 0 ? kLimitDefault : *limit;
  query::MetricUsage others;
  for (const std::string& text : sources.others) others.note(text, "", now);
  const tsdb::HeadStatistics head = sources.statistics(kMetricsMax);
  std::vector<const tsdb::HeadStatistics::Entry*> unused;
  std::uint64_t series = 0;
  for (const tsdb::HeadStatistics::Entry& entry : head.series_count_by_metric_name) {
    if (is_written_here(entry.name) || sources.usage.of(entry.name) || others.of(entry.name)) {
      continue;
    }
    unused.push_back(&entry);
    series += entry.value;
  }
  return api_success([&](JsonWriter& json) {
    json.begin_object()
        .field("since", format_rfc3339(sources.since))
        .field("observedSeconds", static_cast<double>((now - sources.since).ms) / 1000)
        .field("complete", sources.usage.is_complete())
        .field("metrics", std::uint64_t{head.series_count_by_metric_name.size()})
        .field("series", std::uint64_t{head.series_count})
        .field("unusedMetrics", std::uint64_t{unused.size()})
        .field("unusedSeries", series)
        .field("truncated", unused.size() > shown_max);
    json.key("unused").begin_array();
    for (std::size_t i = 0; i < std::min(unused.size(), shown_max); ++i) {
      json.begin_object()
          .field("name", unused[i]->name)
          .field("series", std::uint64_t{unused[i]->value})
          .end_object();
    }
    json.end_array().end_object();
  });
}

HttpResponse usage_response(const std::string& metric, const UsageSources& sources) {
  const std::optional<query::MetricUsage::Use> use = sources.usage.of(metric);
  query::MetricUsage others;
  for (const std::string& text : sources.others) others.note(text, "", sources.since);
  return api_success([&](JsonWriter& json) {
    json.begin_object()
        .field("name", metric)
        .field("since", format_rfc3339(sources.since))
        .field("queries", use ? use->queries : 0)
        .field("ruleEvaluations", use ? use->rules : 0)
        .field("ruleGroup", use ? use->rule_group : "")
        .field("objectives", others.of(metric).has_value());
    json.key("lastUsed");
    if (use) {
      json.value(format_rfc3339(use->last));
    } else {
      json.null();
    }
    json.end_object();
  });
}

void add_cardinality_routes(Router& router, const Doors& doors,
                            std::function<const SloWiring*()> slos) {
  router.add({.path = "/api/tarsier/v1/cardinality/suggestions",
              .handler = pooled_handler(doors, [&doors, slos](const HttpRequest& request) {
                return suggestions_response(request, sources_of(doors, slos()), now());
              })});
  const std::string metrics = "/api/tarsier/v1/metrics/";
  router.add({.path = metrics + "*/usage",
              .handler = pooled_handler(doors, [&doors, slos, metrics](const HttpRequest& request) {
                const std::string_view rest =
                    std::string_view(request.raw_path).substr(metrics.size());
                const std::string_view name = rest.substr(0, rest.find('/'));
                return usage_response(percent_decode(name).value_or(std::string(name)),
                                      sources_of(doors, slos()));
              })});
}

}  // namespace tarsier::server
