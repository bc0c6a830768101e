#include "server/trace_query_routes.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "server/handlers.h"
#include "server/http_answer.h"
#include "server/trace_storage.h"
#include "server/url.h"
#include "tracing/search_api.h"

namespace tarsier::server {
namespace {

using TraceAnswer = std::function<HttpResponse(const TraceStorage&, const HttpRequest&)>;

/// The segment of the path that follows `before`, decoded; Grafana encodes names of tags twice.
std::string decoded_segment(const HttpRequest& request, std::string_view before) {
  const std::size_t at = request.raw_path.find(before);
  if (at == std::string::npos) return "";
  std::string_view rest = std::string_view(request.raw_path).substr(at + before.size());
  rest = rest.substr(0, rest.find('/'));
  std::string out(rest);
  for (int i = 0; i < 2 && out.find('%') != std::string::npos; ++i) {
    out = percent_decode(out).value_or(out);
  }
  return out;
}

class TraceRoutes final {
 public:
  TraceRoutes(Router& router, const Doors& doors) : router_(router), doors_(doors) {}

  /// Also with a slash at the end.
  void get(const std::string& path, TraceAnswer answer) {
    const auto guarded = [&doors = doors_, answer = std::move(answer)](const HttpRequest& r) {
      if (doors.traces == nullptr) return text_response(503, "the trace store is not open\n");
      return answer(*doors.traces, r);
    };
    for (const std::string& spelled : {path, path + "/"}) {
      router_.add({.path = spelled, .handler = pooled_handler(doors_, guarded)});
    }
  }

 private:
  Router& router_;
  const Doors& doors_;
};

void add_tempo(TraceRoutes& routes) {
  routes.get("/tempo/api/echo",
             [](const TraceStorage&, const HttpRequest&) { return tracing::TempoApi::echo(); });
  routes.get("/tempo/ready",
             [](const TraceStorage&, const HttpRequest&) { return text_response(200, "ready\n"); });
  routes.get("/tempo/api/status/buildinfo",
             [](const TraceStorage& t, const HttpRequest&) { return t.tempo().build_info(); });
  routes.get("/tempo/api/traces/*", [](const TraceStorage& t, const HttpRequest& r) {
    return t.tempo().trace_v1(r, decoded_segment(r, "/api/traces/"));
  });
  routes.get("/tempo/api/v2/traces/*", [](const TraceStorage& t, const HttpRequest& r) {
    return t.tempo().trace_v2(r, decoded_segment(r, "/api/v2/traces/"));
  });
  routes.get("/tempo/api/search",
             [](const TraceStorage& t, const HttpRequest& r) { return t.tempo().search(r); });
  routes.get("/tempo/api/search/tags",
             [](const TraceStorage& t, const HttpRequest& r) { return t.tempo().tags_v1(r); });
  routes.get("/tempo/api/v2/search/tags",
             [](const TraceStorage& t, const HttpRequest& r) { return t.tempo().tags_v2(r); });
  routes.get("/tempo/api/search/tag/*/values", [](const TraceStorage& t, const HttpRequest& r) {
    return t.tempo().tag_values_v1(r, decoded_segment(r, "/search/tag/"));
  });
  routes.get("/tempo/api/v2/search/tag/*/values", [](const TraceStorage& t, const HttpRequest& r) {
    return t.tempo().tag_values_v2(r, decoded_segment(r, "/search/tag/"));
  });
  routes.get("/tempo/api/metrics/query_range", [](const TraceStorage& t, const HttpRequest& r) {
    return t.tempo().metrics_range(r);
  });
  routes.get("/tempo/api/metrics/query", [](const TraceStorage& t, const HttpRequest& r) {
    return t.tempo().metrics_instant(r);
  });
}

void add_jaeger(TraceRoutes& routes) {
  routes.get("/jaeger/api/services",
             [](const TraceStorage& t, const HttpRequest&) { return t.jaeger().services(); });
  routes.get("/jaeger/api/services/*/operations", [](const TraceStorage& t, const HttpRequest& r) {
    return t.jaeger().operation_names(decoded_segment(r, "/api/services/"));
  });
  routes.get("/jaeger/api/operations",
             [](const TraceStorage& t, const HttpRequest& r) { return t.jaeger().operations(r); });
  routes.get("/jaeger/api/traces",
             [](const TraceStorage& t, const HttpRequest& r) { return t.jaeger().traces(r); });
  routes.get("/jaeger/api/traces/*", [](const TraceStorage& t, const HttpRequest& r) {
    return t.jaeger().trace(decoded_segment(r, "/api/traces/"));
  });
  routes.get("/jaeger/api/dependencies", [](const TraceStorage& t, const HttpRequest& r) {
    return t.jaeger().dependencies(r);
  });
  routes.get("/jaeger/api/v3/services",
             [](const TraceStorage& t, const HttpRequest&) { return t.jaeger().services_v3(); });
  routes.get("/jaeger/api/v3/operations", [](const TraceStorage& t, const HttpRequest& r) {
    return t.jaeger().operations_v3(r);
  });
  routes.get("/jaeger/api/v3/traces",
             [](const TraceStorage& t, const HttpRequest& r) { return t.jaeger().traces_v3(r); });
  routes.get("/jaeger/api/v3/traces/*", [](const TraceStorage& t, const HttpRequest& r) {
    return t.jaeger().trace_v3(decoded_segment(r, "/api/v3/traces/"));
  });
  routes.get("/jaeger/api/v3/trace-summaries", [](const TraceStorage& t, const HttpRequest& r) {
    return t.jaeger().summaries_v3(r);
  });
}

}  // namespace

void add_trace_query_routes(Router& router, const Doors& doors) {
  TraceRoutes routes(router, doors);
  add_tempo(routes);
  add_jaeger(routes);
  routes.get("/api/tarsier/v1/traces/search", [](const TraceStorage& t, const HttpRequest& r) {
    return tracing::search_traces(t.queries(), r);
  });
}

}  // namespace tarsier::server
