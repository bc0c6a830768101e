#include "server/notifications.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"

namespace tarsier::server {

std::string Notifications::json_of(const Notification& notification) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("text", notification.text);
  json.field("date", format_rfc3339(notification.date));
  json.field("active", notification.active).end_object();
  return text;
}

void Notifications::add(const std::string& text, Timestamp now) {
  const Notification added{text, now, true};
  {
    const MutexLock lock(mutex_);
    const bool holds = std::any_of(active_.begin(), active_.end(),
                                   [&](const Notification& n) { return n.text == text; });
    if (holds) return;
    active_.push_back(added);
  }
  tell(added);
}

void Notifications::remove(const std::string& text) {
  std::optional<Notification> removed;
  {
    const MutexLock lock(mutex_);
    const auto it = std::find_if(active_.begin(), active_.end(),
                                 [&](const Notification& n) { return n.text == text; });
    if (it == active_.end()) return;
    removed = std::move(*it);
    active_.erase(it);
  }
  removed->active = false;
  tell(*removed);
}

void Notifications::tell(const Notification& notification) {
  subscribers_.tell(json_of(notification));
}

HttpResponse Notifications::list() const {
  return api_success([&](JsonWriter& json) {
    json.begin_array();
    const MutexLock lock(mutex_);
    for (const Notification& notification : active_) json.raw(json_of(notification));
    json.end_array();
  });
}

HttpResponse Notifications::live() {
  std::string first;
  const MutexLock lock(mutex_);  // Until it listens: a change in between would be lost.
  for (const Notification& notification : active_) {
    first += EventSubscribers::event_of(json_of(notification));
  }
  return subscribers_.open(std::move(first));
}

}  // namespace tarsier::server
