#include "server/notifications.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"

namespace tarsier::server {

/// One live answer: events wait here until the connection asks for them.
class Notifications::Subscriber final : public BodyStream {
 public:
  void next(std::function<void(Result<std::string>)> done) override {
    std::string piece;
    {
      const MutexLock lock(mutex_);
      if (waiting_.empty() && !ended_) {
        done_ = std::move(done);
        return;
      }
      piece.swap(waiting_);
    }
    done(std::move(piece));  // Empty only at the end.
  }
  void push(const std::string& event) { hand_over(event, false); }
  void end() { hand_over("", true); }

 private:
  void hand_over(const std::string& event, bool ends) {
    std::function<void(Result<std::string>)> done;
    std::string piece;
    {
      const MutexLock lock(mutex_);
      waiting_ += event;
      ended_ = ended_ || ends;
      if (!done_) return;
      done = std::exchange(done_, nullptr);
      piece.swap(waiting_);
    }
    done(std::move(piece));
  }

  Mutex mutex_;
  std::string waiting_ GUARDED_BY(mutex_);
  std::function<void(Result<std::string>)> done_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
};

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

std::vector<std::shared_ptr<Notifications::Subscriber>> Notifications::subscribers() {
  std::vector<std::shared_ptr<Subscriber>> alive;
  const MutexLock lock(mutex_);
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
  for (const auto& subscriber : subscribers_) {
    if (auto held = subscriber.lock()) alive.push_back(std::move(held));
  }
  return alive;
}

void Notifications::tell(const Notification& notification) {
  const std::string event = "data: " + json_of(notification) + "\n\n";
  for (const auto& subscriber : subscribers()) subscriber->push(event);
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
  const std::size_t count = subscribers().size();
  HttpResponse response;
  const MutexLock lock(mutex_);
  if (is_closed_ || count >= subscriber_count_max_) {
    response.status = 204;
    return response;
  }
  const auto subscriber = std::make_shared<Subscriber>();
  subscribers_.push_back(subscriber);
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-cache");
  for (const Notification& notification : active_) {
    response.body += "data: " + json_of(notification) + "\n\n";
  }
  response.stream = subscriber;
  return response;
}

void Notifications::close() {
  {
    const MutexLock lock(mutex_);
    is_closed_ = true;
  }
  for (const auto& subscriber : subscribers()) subscriber->end();
}

}  // namespace tarsier::server
