#pragma once

#include "server/router.h"
#include "server/routes.h"

namespace tarsier::server {

/// Which paths a port has.
enum class OtlpPaths : unsigned char {
  kOwnPort,   ///< /v1/traces and so on: what the specification has.
  kMainPort,  ///< Those, the same below /api/v1/otlp, and Zipkin's /api/v2/spans.
};

/// Adds the doors of OTLP/HTTP: spans and metrics; for other signals an honest 404 that names them,
/// after which senders stop. `doors` must outlive the router's last request.
void add_otlp_routes(Router& router, const Doors& doors, OtlpPaths paths);

}  // namespace tarsier::server
