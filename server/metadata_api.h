#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/http.h"
#include "ingest/scrape_manager.h"
#include "tsdb/appender.h"

namespace tarsier::server {

/// /api/v1/metadata: what targets expose now, and what senders told storage. Reads the parameters
/// `limit`, `limit_per_metric` and `metric`.
HttpResponse metadata_response(const HttpRequest& request,
                               const std::vector<ingest::PoolSnapshot>& pools,
                               const std::vector<std::pair<std::string, tsdb::Metadata>>& stored);

}  // namespace tarsier::server
