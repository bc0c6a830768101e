#include "server/otlp_routes.h"

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/otlp_http.h"
#include "ingest/tenant_writes.h"
#include "server/flags.h"
#include "server/http_answer.h"
#include "server/tracing_wiring.h"

namespace tarsier::server {
namespace {

/// As sent; what it unpacks to is bounded by the receivers.
constexpr std::uint64_t kBodyBytesMax = std::uint64_t{64} << 20;

HttpHandler metrics_handler(const Doors& doors) {
  return [&doors, is_on = doors.flags.is_on("web.enable-otlp-receiver")](HttpRequest request,
                                                                         HttpResponder respond) {
    if (is_on) return doors.writes->otlp_metrics(std::move(request), std::move(respond));
    respond(text_response(404,
                          "otlp write receiver needs to be enabled with "
                          "--web.enable-otlp-receiver\n"));
  };
}

HttpHandler traces_handler(const Doors& doors) {
  return [&doors](HttpRequest request, HttpResponder respond) {
    doors.tracing->receive_otlp(std::move(request), std::move(respond));
  };
}

HttpHandler zipkin_handler(const Doors& doors) {
  return [&doors](HttpRequest request, HttpResponder respond) {
    doors.tracing->receive_zipkin(std::move(request), std::move(respond));
  };
}

/// For a signal nobody here takes: permanent, so that the sender stops.
HttpHandler unserved_handler(std::string signal) {
  return [text = fmt::format("{} are not stored here; this server takes OTLP traces and metrics",
                             signal)](HttpRequest request, HttpResponder respond) {
    const OtlpHttpBody body = unpack_otlp(request, kBodyBytesMax);
    respond(otlp_error(body.encoding, 404, text));
  };
}

}  // namespace

void add_otlp_routes(Router& router, const Doors& doors, OtlpPaths paths) {
  std::vector<std::string> bases = {""};
  if (paths == OtlpPaths::kMainPort) bases.emplace_back("/api/v1/otlp");
  for (const std::string& base : bases) {
    const auto post = [&](const char* path, HttpHandler handler) {
      router.add({.path = base + path,
                  .methods = {"POST"},
                  .handler = std::move(handler),
                  .body_size_max = kBodyBytesMax,
                  .compress = false});
    };
    post("/v1/traces", traces_handler(doors));
    post("/v1/metrics", metrics_handler(doors));
    post("/v1/logs", unserved_handler("logs"));
    post("/v1development/profiles", unserved_handler("profiles"));
  }
  if (paths != OtlpPaths::kMainPort) return;
  router.add({.path = "/api/v2/spans",
              .methods = {"POST"},
              .handler = zipkin_handler(doors),
              .body_size_max = kBodyBytesMax,
              .compress = false});
}

}  // namespace tarsier::server
