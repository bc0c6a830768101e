#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/alert.h"
#include "alerting/template/function.h"
#include "alerting/template/node.h"
#include "alerting/template/value.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// One alert of a notification, firing or resolved at its time.
struct NotifiedAlert {
  Alert alert;
  bool is_resolved = false;
};

/// What a receiver is told at once: the alerts of one group at one moment.
struct Notification {
  std::string receiver;
  std::string group_key;
  std::string reason;  ///< `first notification`, ...
  tsdb::Labels group_labels;
  tsdb::Labels route_labels;
  std::vector<NotifiedAlert> alerts;  ///< By job, instance, then all labels.
  std::string external_url;
  Timestamp at;

  bool is_firing() const;
};

/// Labels that all alerts have with the same value.
tsdb::Labels common_labels(const std::vector<NotifiedAlert>& alerts);
Annotations common_annotations(const std::vector<NotifiedAlert>& alerts);
/// The order in which alerts stand in a message.
void sort_alerts(std::vector<NotifiedAlert>& alerts);
/// An alert's end as messages show it: nothing for one that fires.
std::string shown_end(const NotifiedAlert& alert);

/// What templates see of a notification: `.Status`, `.Alerts.Firing`, `.GroupLabels.SortedPairs`...
Value notification_value(const Notification& notification);

/// The definitions every notification template may use: those that come with Tarsier and those of
/// the configuration, which take precedence. Immutable; any number of threads.
class NotificationTemplates final {
 public:
  NotificationTemplates() = default;
  /// `files` are names with texts. kInvalid with Go's text when one does not parse.
  static Result<NotificationTemplates> create(
      const std::vector<std::pair<std::string, std::string>>& files);

  /// kInvalid when `text` does not parse.
  Status check(std::string_view text) const;
  Result<std::string> expand(std::string_view text, const Value& data,
                             const Notification& notification) const;

  /// What `routeLabels` gives while `text` is expanded.
  using RouteLabel = std::function<Result<std::string>(const std::string& name)>;
  Result<std::string> expand(std::string_view text, const Value& data,
                             const Notification& notification, RouteLabel route_label) const;

 private:
  TemplateTrees trees_;
};

}  // namespace tarsier::alerting
