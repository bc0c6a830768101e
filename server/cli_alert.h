#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::server {

/// `tarsier alert list|history|notifications|replay SERVER`; gives the exit code.
int run_alert_command(std::span<const std::string> arguments);
/// `tarsier check notifier FILE...`
int check_notifier_files(std::span<const std::string> paths);

/// What `alert list` prints for the answers of /api/v2/alerts (empty where there is no notifier)
/// and /api/v1/alerts: one line per alert. The notifier's view says more, but it knows no alert
/// that is pending, or that relabelling keeps from it.
Result<std::string> format_alerts(std::string_view v2_body, std::string_view v1_body);
/// What `alert history` prints for the answer of /api/tarsier/v1/alerts/history: the oldest first.
Result<std::string> format_history(std::string_view body);
/// What `alert notifications` prints for the answer of /api/tarsier/v1/notifications; with a last
/// line where older ones are forgotten.
Result<std::string> format_notifications(std::string_view body);

}  // namespace tarsier::server
