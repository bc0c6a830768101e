#pragma once

#include "base/http.h"
#include "server/flags.h"

namespace tarsier::server {

/// /api/v1/features: what this server can do, by category, for editors and other clients.
HttpResponse features_response(const Flags& flags);

}  // namespace tarsier::server
