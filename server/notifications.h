#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/mutex.h"
#include "base/time.h"
#include "server/event_subscribers.h"

namespace tarsier::server {

/// What the web UI shows at its top while it holds: the log is replayed, a reload has failed, the
/// server stops. Listed, and sent as server-sent events to whoever stays connected. Any number of
/// threads.
class Notifications final {
 public:
  /// At most so many listen at a time; whoever comes later is answered 204.
  explicit Notifications(std::size_t subscriber_count_max) : subscribers_(subscriber_count_max) {}

  /// Nothing when it holds already.
  void add(const std::string& text, Timestamp now);
  /// Nothing when it does not hold.
  void remove(const std::string& text);

  HttpResponse list() const;
  /// What holds now, then every change, until the client leaves or close().
  HttpResponse live();
  /// Ends every live answer, so that the server can stop.
  void close() { subscribers_.close(); }

 private:
  struct Notification {
    std::string text;
    Timestamp date;
    bool active = true;
  };

  static std::string json_of(const Notification& notification);
  void tell(const Notification& notification);

  EventSubscribers subscribers_;
  mutable Mutex mutex_;
  std::vector<Notification> active_ GUARDED_BY(mutex_);
};

inline constexpr const char* kStartingNotification =
    "Tarsier is starting and replaying the write-ahead log (WAL).";
inline constexpr const char* kReloadFailedNotification = "Configuration reload has failed.";
inline constexpr const char* kStoppingNotification =
    "Tarsier is shutting down and gracefully stopping all operations.";

}  // namespace tarsier::server
