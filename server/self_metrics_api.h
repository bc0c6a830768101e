#pragma once

#include <string_view>

#include "base/http.h"

namespace tarsier::server {

/// `status/self_metrics`: our own metrics, which `exposition` has in text format 0.0.4, as a list
/// of Prometheus' MetricFamily messages in their JSON form; those whose whole name matches the
/// parameter `metric_name_pattern`, if there is one.
HttpResponse self_metrics_response(const HttpRequest& request, std::string_view exposition);

}  // namespace tarsier::server
