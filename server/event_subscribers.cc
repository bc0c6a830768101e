#include "server/event_subscribers.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace tarsier::server {
namespace {

/// Of one client: it reads nothing any more.
constexpr std::size_t kWaitingBytesMax = std::size_t{256} << 10;

}  // namespace

/// One answer: events wait here until the connection asks for them.
class EventSubscribers::Subscriber final : public BodyStream {
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
      if (ended_) return;
      waiting_ += event;
      ended_ = ends || waiting_.size() > kWaitingBytesMax;
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

std::string EventSubscribers::event_of(std::string_view json) {
  std::string event = "data: ";
  event.append(json).append("\n\n");
  return event;
}

std::vector<std::shared_ptr<EventSubscribers::Subscriber>> EventSubscribers::alive() {
  std::vector<std::shared_ptr<Subscriber>> alive;
  const MutexLock lock(mutex_);
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
  for (const auto& subscriber : subscribers_) {
    if (auto held = subscriber.lock()) alive.push_back(std::move(held));
  }
  return alive;
}

HttpResponse EventSubscribers::open(std::string first) {
  const std::size_t count = alive().size();
  HttpResponse response;
  const MutexLock lock(mutex_);
  if (is_closed_ || count >= count_max_) {
    response.status = 204;
    return response;
  }
  const auto subscriber = std::make_shared<Subscriber>();
  subscribers_.push_back(subscriber);
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.body = std::move(first);
  response.stream = subscriber;
  return response;
}

void EventSubscribers::tell(std::string_view json) {
  const std::string event = event_of(json);
  for (const auto& subscriber : alive()) subscriber->push(event);
}

void EventSubscribers::close() {
  {
    const MutexLock lock(mutex_);
    is_closed_ = true;
  }
  for (const auto& subscriber : alive()) subscriber->end();
}

}  // namespace tarsier::server
