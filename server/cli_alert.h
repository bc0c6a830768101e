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

/// What `alert list` prints for the answer of /api/v2/alerts: one line per alert.
Result<std::string> format_alerts(std::string_view body);
/// The same for the answer of /api/v1/alerts, which a server without a notifier gives.
Result<std::string> format_rule_alerts(std::string_view body);
/// What `alert history` prints for the answer of /api/tarsier/v1/alerts/history: the oldest first.
Result<std::string> format_history(std::string_view body);
/// What `alert notifications` prints for the answer of /api/tarsier/v1/notifications.
Result<std::string> format_notifications(std::string_view body);

}  // namespace tarsier::server
