#pragma once

#include <string>

#include "base/http.h"
#include "tracing/trace_queries.h"

namespace tarsier::tracing {

/// The query API of Jaeger (jaegertracing.io/docs/latest/apis): the older one that Grafana's Jaeger
/// data source calls, and v3, which Jaeger's own UI uses. Any number of threads.
class JaegerApi final {
 public:
  explicit JaegerApi(const TraceQueries& queries) : queries_(queries) {}

  HttpResponse services() const;
  /// `service` decoded from the path.
  HttpResponse operation_names(const std::string& service) const;
  HttpResponse operations(const HttpRequest& request) const;
  HttpResponse traces(const HttpRequest& request) const;
  HttpResponse trace(const std::string& id) const;
  HttpResponse dependencies(const HttpRequest& request) const;

  HttpResponse services_v3() const;
  HttpResponse operations_v3(const HttpRequest& request) const;
  HttpResponse traces_v3(const HttpRequest& request) const;
  HttpResponse trace_v3(const std::string& id) const;
  HttpResponse summaries_v3(const HttpRequest& request) const;

 private:
  const TraceQueries& queries_;
};

}  // namespace tarsier::tracing
