#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/time.h"
#include "query/metric_usage.h"
#include "tsdb/db.h"

namespace tarsier::server {

class Router;
class SloWiring;
struct Doors;

/// What usage is judged by.
struct UsageSources {
  const query::MetricUsage& usage;
  Timestamp since;  ///< What queries before it read is not known.
  /// Reads the stored ones by their number of series, most first.
  std::function<tsdb::HeadStatistics(std::size_t limit)> statistics;
  /// Texts that read without asking queries: indicators of objectives.
  std::vector<std::string> others;
};

/// Metrics nobody has read since the start, those with most series first, and what could be
/// dropped.
HttpResponse suggestions_response(const HttpRequest& request, const UsageSources& sources,
                                  Timestamp now);
/// Who reads one metric.
HttpResponse usage_response(const std::string& metric, const UsageSources& sources);

/// Adds /api/tarsier/v1/cardinality/suggestions and /api/tarsier/v1/metrics/*/usage.
void add_cardinality_routes(Router& router, const Doors& doors,
                            std::function<const SloWiring*()> slos);

}  // namespace tarsier::server
