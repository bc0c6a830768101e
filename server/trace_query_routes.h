#pragma once

#include "server/router.h"
#include "server/routes.h"

namespace tarsier::server {

/// The routes that answer questions about traces: Tempo's API below /tempo, Jaeger's below /jaeger,
/// our own search. `doors` must outlive the router's last request.
void add_trace_query_routes(Router& router, const Doors& doors);

}  // namespace tarsier::server
