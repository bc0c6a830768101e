#pragma once

#include <functional>
#include <vector>

#include "alerting/alert_history.h"
#include "base/http.h"

namespace tarsier::alerting {

/// /api/tarsier/v1/alerts/history: what happened to alerts, newest first. Parameters: `id` (a
/// fingerprint), `match[]` (a selector on labels of alerts), `start`, `end`, `limit` (100; 0: all).
HttpResponse alert_history_response(
    const HttpRequest& request,
    const std::function<std::vector<AlertEvent>(const AlertEventFilter&)>& find);

}  // namespace tarsier::alerting
