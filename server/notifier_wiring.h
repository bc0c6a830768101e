#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alerting/alert_sink.h"
#include "alerting/notifier.h"
#include "alerting/notifier_api.h"
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "server/config.h"
#include "server/scheduler.h"

namespace tarsier::server {

class Router;

/// The built-in notifier with the thread it runs on: made by the composition once storage is open,
/// ended before the HTTP client. Without a section `notifier` in the configuration it takes alerts
/// and tells nobody.
class NotifierWiring final : public alerting::AlertSink {
 public:
  struct Doors {
    FileSystem& files;
    HttpClient& client;
    Logger& log;
    std::string directory;     ///< `<data>/tarsier/notifier`
    std::string external_url;  ///< Without a slash at its end.
    Timestamp started;
  };
  /// The error is the disk's, or a damaged log's.
  static Result<std::unique_ptr<NotifierWiring>> start(Doors doors);
  ~NotifierWiring() override;

  /// Puts a configuration in force; a null one ends notifications, what is queued stays.
  void apply(const std::shared_ptr<const alerting::NotifierConfig>& config, Timestamp now);
  /// Nothing is decided or sent any more.
  void stop();

  Status deliver(const alerting::AlertBatch& batch) override;
  void collect(MetricWriter& out, Timestamp now) const;
  const alerting::NotifierApi& api() const { return *api_; }
  bool is_on() const { return is_on_.load(); }
  /// Queued, dead and the last delivered ones, newest first.
  std::vector<alerting::NotificationStatus> notifications() const {
    return notifier_->notifications();
  }

 private:
  explicit NotifierWiring(Doors doors) : doors_(std::move(doors)) {}

  const Doors doors_;
  std::atomic<bool> is_on_{false};
  std::unique_ptr<alerting::Notifier> notifier_;
  std::unique_ptr<alerting::NotifierApi> api_;
  Scheduler scheduler_{"notifier"};  // Last: it drives everything above.
};

/// Adds /api/v2/* and /api/tarsier/v1/notifications. `wiring` gives the notifier once the router is
/// ready; `pool` runs what waits for the disk.
void add_notifier_routes(Router& router, std::function<NotifierWiring*()> wiring,
                         std::function<ThreadPool*()> pool);

}  // namespace tarsier::server
