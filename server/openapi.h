#pragma once

#include <string>
#include <string_view>

#include "base/http.h"

namespace tarsier::server {

/// /api/v1/openapi.yaml: the API in OpenAPI 3.1, or 3.2 when the parameter `openapi_version` says
/// so.
HttpResponse openapi_response(const HttpRequest& request);

}  // namespace tarsier::server
