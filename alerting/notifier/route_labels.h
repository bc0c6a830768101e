#pragma once

#include <map>
#include <string>
#include <vector>

#include "alerting/notifier/notification.h"
#include "alerting/template/value.h"
#include "base/result.h"

namespace tarsier::alerting {

/// Expands the labels of one route for one group of alerts. Each is a template over the group and
/// may name others of the route (`{{ routeLabels "x" }}`); each is expanded once, in whatever order
/// they need each other, and a circle is an error. Used by one thread; refers to its arguments.
class RouteLabelExpansion final {
 public:
  using Texts = std::map<std::string, std::string>;

  RouteLabelExpansion(const NotificationTemplates& templates, const Texts& texts,
                      const Notification& notification);
  RouteLabelExpansion(const RouteLabelExpansion&) = delete;
  RouteLabelExpansion& operator=(const RouteLabelExpansion&) = delete;

  /// Empty for a label the route has not. kInvalid: its template's error, or the circle by names.
  Result<std::string> value(const std::string& name);

 private:
  const NotificationTemplates& templates_;
  const Texts& texts_;
  const Notification& notification_;
  const Value data_;
  Texts expanded_;
  std::vector<std::string> under_way_;  ///< Outermost first.
};

}  // namespace tarsier::alerting
