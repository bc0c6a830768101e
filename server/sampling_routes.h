#pragma once

#include "server/router.h"
#include "server/routes.h"

namespace tarsier::server {

/// /api/tarsier/v1/sampling/*. `doors` must outlive the router's last request.
void add_sampling_routes(Router& router, const Doors& doors);

}  // namespace tarsier::server
