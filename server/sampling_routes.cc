#include "server/sampling_routes.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "server/clock.h"
#include "server/handlers.h"
#include "server/http_answer.h"
#include "server/sampling_wiring.h"

namespace tarsier::server {
namespace {

constexpr std::string_view kDecisions = "/api/tarsier/v1/sampling/decisions/";

using SamplingAnswer = std::function<HttpResponse(const tracing::SamplingApi&, const HttpRequest&)>;

}  // namespace

void add_sampling_routes(Router& router, const Doors& doors) {
  // On the pool of queries: a simulation takes a second, a look-up may read the disk.
  const auto add = [&](std::string path, std::string method, SamplingAnswer answer) {
    router.add({.path = std::move(path),
                .methods = {std::move(method)},
                .handler = pooled_handler(doors, [&doors, answer](const HttpRequest& request) {
                  if (doors.sampling == nullptr) {
                    return text_response(503, "the trace buffer is not open\n");
                  }
                  return answer(doors.sampling->api(), request);
                })});
  };
  add(std::string(kDecisions) + "*", "GET",
      [](const tracing::SamplingApi& api, const HttpRequest& request) {
        const std::string_view path = request.path;
        return api.decision(path.substr(path.rfind('/') + 1), now());
      });
  add("/api/tarsier/v1/sampling/stats", "GET",
      [](const tracing::SamplingApi& api, const HttpRequest&) { return api.stats(now()); });
  add("/api/tarsier/v1/sampling/simulate", "POST",
      [](const tracing::SamplingApi& api, const HttpRequest& request) {
        return api.simulate(request.body);
      });
}

}  // namespace tarsier::server
