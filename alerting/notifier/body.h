#pragma once

#include <string>
#include <string_view>

#include "alerting/notifier/notification.h"
#include "alerting/notifier_config.h"
#include "base/result.h"

namespace tarsier::alerting {

struct Body {
  std::string text;
  Status template_error;  ///< The first one; its text stands in the body, too.
};

/// What is posted for a notification, as its integration wants it. Secrets are not in it: a routing
/// key is added when it is sent. A template that fails does not keep a page from going out.
Body make_body(const IntegrationConfig& integration, const NotificationTemplates& templates,
               const Notification& notification);

/// `{"routing_key":...` in front of a body without it.
std::string with_secret(const std::string& body, std::string_view name, const std::string& secret);

/// The webhook message, version 4, newline included.
std::string webhook_body(const IntegrationConfig& integration, const Notification& notification);

/// `web.hook` as `web\.hook`.
std::string quoted_receiver(std::string_view name);

}  // namespace tarsier::alerting
