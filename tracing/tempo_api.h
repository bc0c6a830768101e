#pragma once

#include <string>

#include "base/http.h"
#include "tracing/trace_queries.h"

namespace tarsier::tracing {

struct TempoApiOptions {
  std::string version = "2.8.0";  ///< What clients tell features by.
  /// Protobuf bytes of a trace beyond which v1 answers 422 and v2 leaves spans out.
  std::size_t trace_bytes_max = std::size_t{64} << 20;
  std::size_t limit_max = 262'144;      ///< Traces of one search.
  std::size_t spans_per_set_max = 100;  ///< As Tempo.
  Duration search_range_max = days(7);
  Duration metrics_range_max = days(7);
};

/// The query API of Grafana Tempo (grafana.com/docs/tempo/latest/api_docs), below whatever prefix:
/// Grafana's Tempo data source works on it. Errors are plain text. Any number of threads.
class TempoApi final {
 public:
  explicit TempoApi(const TraceQueries& queries, TempoApiOptions options = {})
      : queries_(queries), options_(std::move(options)) {}

  static HttpResponse echo();
  HttpResponse build_info() const;
  /// `id` as it stands in the path.
  HttpResponse trace_v1(const HttpRequest& request, const std::string& id) const;
  HttpResponse trace_v2(const HttpRequest& request, const std::string& id) const;
  HttpResponse search(const HttpRequest& request) const;
  HttpResponse tags_v1(const HttpRequest& request) const;
  HttpResponse tags_v2(const HttpRequest& request) const;
  /// `tag` decoded.
  HttpResponse tag_values_v1(const HttpRequest& request, const std::string& tag) const;
  HttpResponse tag_values_v2(const HttpRequest& request, const std::string& tag) const;
  HttpResponse metrics_range(const HttpRequest& request) const;
  HttpResponse metrics_instant(const HttpRequest& request) const;

 private:
  Result<SearchRequest> search_request(const HttpRequest& request) const;
  Result<MetricsRequest> metrics_request(const HttpRequest& request) const;

  const TraceQueries& queries_;
  const TempoApiOptions options_;
};

/// The TraceQL for Tempo's older `tags` parameter: `k=v k2="v 2"`, and durations of the trace.
/// Public for tests.
Result<std::string> traceql_of_tags(const std::string& tags, const std::string& min_duration,
                                    const std::string& max_duration);

}  // namespace tarsier::tracing
