#pragma once

#include "server/router.h"
#include "server/routes.h"

namespace tarsier::server {

/// The routes of the query room: queries, series and labels, and what tells of queries.
void add_query_routes(Router& router, const Doors& doors);

}  // namespace tarsier::server
