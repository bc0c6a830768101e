#include "alerting/notifier/route_labels.h"

#include <algorithm>

namespace tarsier::alerting {

RouteLabelExpansion::RouteLabelExpansion(const NotificationTemplates& templates, const Texts& texts,
                                         const Notification& notification)
    : templates_(templates),
      texts_(texts),
      notification_(notification),
      data_(notification_value(notification)) {}

Result<std::string> RouteLabelExpansion::value(const std::string& name) {
  const auto text = texts_.find(name);
  if (text == texts_.end()) return std::string();
  if (const auto known = expanded_.find(name); known != expanded_.end()) return known->second;
  if (std::find(under_way_.begin(), under_way_.end(), name) != under_way_.end()) {
    std::string circle;
    for (const std::string& one : under_way_) circle += one + " -> ";
    return invalid("route label cycle detected: " + circle + name);
  }
  under_way_.push_back(name);
  Result<std::string> out =
      templates_.expand(text->second, data_, notification_,
                        [this](const std::string& other) { return value(other); });
  under_way_.pop_back();
  if (out.ok()) expanded_[name] = *out;
  return out;
}

}  // namespace tarsier::alerting
