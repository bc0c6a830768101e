#pragma once

#include "base/http.h"
#include "server/router.h"
#include "server/routes.h"

namespace tarsier::server {

/// Adds /api/v1/admin/tsdb/delete_series, clean_tombstones, snapshot and compact. Without
/// --web.enable-admin-api they answer that they are off. The work is done on the maintenance
/// thread, one request after the other; appends and queries go on.
void add_admin_routes(Router& router, const Doors& doors);

}  // namespace tarsier::server
