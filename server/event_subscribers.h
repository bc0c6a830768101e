#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "base/mutex.h"

namespace tarsier::server {

/// Clients that stay connected for server-sent events. Any number of threads.
class EventSubscribers final {
 public:
  /// At most so many listen at a time; whoever comes later is answered 204.
  explicit EventSubscribers(std::size_t count_max) : count_max_(count_max) {}
  ~EventSubscribers() { close(); }

  /// An answer that goes on until the client leaves or close(); `first` are events it begins with.
  HttpResponse open(std::string first);
  /// To everybody who listens. Who does not read what was told before is let go.
  void tell(std::string_view json);
  bool is_empty() { return alive().empty(); }
  /// Ends every answer, so that the server can stop.
  void close();

  /// `json` as an event.
  static std::string event_of(std::string_view json);

 private:
  class Subscriber;
  std::vector<std::shared_ptr<Subscriber>> alive();

  const std::size_t count_max_;
  Mutex mutex_;
  std::vector<std::weak_ptr<Subscriber>> subscribers_ GUARDED_BY(mutex_);
  bool is_closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace tarsier::server
