#include "server/otlp_listener.h"

#include <utility>

#include <fmt/format.h>

#include "server/flags.h"
#include "server/otlp_routes.h"
#include "server/settings.h"

namespace tarsier::server {
namespace {

constexpr int kDefaultPort = 4318;
constexpr const char* kFlag = "otlp.http-address";

}  // namespace

ReceiverAddress receiver_address(const Flags& flags, const std::string& flag, int default_port) {
  if (flags.is_set(flag)) return {.address = flags.text(flag), .is_explicit = true};
  const std::string& main = flags.list("web.listen-address").at(0);
  if (port_of(main) == "0") return {};
  return {.address = fmt::format("{}:{}", main.substr(0, main.rfind(':')), default_port)};
}

Result<std::unique_ptr<OtlpListener>> OtlpListener::listen(const Flags& flags, const Doors& doors,
                                                           Logger& log, HttpGuard guard) {
  const ReceiverAddress wanted = receiver_address(flags, kFlag, kDefaultPort);
  if (wanted.address.empty()) return std::unique_ptr<OtlpListener>();
  std::unique_ptr<OtlpListener> out(new OtlpListener());
  out->router_ = TRY(Router::create({.cors_origin = flags.text("web.cors.origin")}));
  add_otlp_routes(*out->router_, doors, OtlpPaths::kOwnPort);
  HttpServerOptions options = http_server_options(flags);
  options.listen_addresses = {wanted.address};
  Router* const router = out->router_.get();
  Result<std::unique_ptr<HttpServer>> http = HttpServer::listen(
      std::move(options), [router](const HttpRequest& request) { return router->decide(request); },
      log, std::move(guard));
  if (!http.ok()) {
    if (wanted.is_explicit) return std::move(http).status().with_prefix(fmt::format("--{}", kFlag));
    log.warn("OTLP/HTTP has no port of its own; the main port takes it",
             {{"address", wanted.address}, {"err", http.status().message()}});
    return std::unique_ptr<OtlpListener>();
  }
  out->http_ = std::move(*http);
  log.info("Listening for OTLP/HTTP", {{"address", out->address()}});
  return out;
}

void OtlpListener::drain(Duration grace) {
  http_->drain(grace);
  http_->cut_off();
}

}  // namespace tarsier::server
