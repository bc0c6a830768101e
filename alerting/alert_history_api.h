#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "alerting/alert_history.h"
#include "base/http.h"

namespace tarsier::alerting {

/// /api/tarsier/v1/alerts/history: what happened to alerts, newest first, with their ids under
/// `labelling`. Parameters: `id`, `match[]` (a selector on labels of alerts), `start`, `end`,
/// `limit` (100; 0: all). 404 for an id nothing is known of.
HttpResponse alert_history_response(
    const HttpRequest& request, const std::shared_ptr<const AlertLabelling>& labelling,
    const std::function<std::vector<AlertEvent>(const AlertEventFilter&)>& find);

}  // namespace tarsier::alerting
