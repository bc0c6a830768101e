#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alerting/alert_labelling.h"
#include "alerting/alert_sink.h"
#include "alerting/sent_outcomes.h"
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// One Alertmanager, after discovery and relabelling.
struct AlertmanagerTarget {
  std::string url;  ///< `http://host:9093/api/v2/alerts`
  Duration timeout = seconds(10);
  std::shared_ptr<const HttpClientConfig> client;
  AlertRelabel relabel;  ///< Of the section it comes from; after the common one.
};

/// What configuration says; may change with every reload.
struct AlertmanagerSettings {
  AlertLabelling labelling;                 ///< For all of them.
  std::vector<AlertmanagerTarget> targets;  ///< Of equal URLs the first counts.
  std::vector<std::string> dropped_urls;    ///< For the API.
};

struct AlertmanagerOptions {
  std::size_t queue_capacity = 10'000;  ///< Alerts per Alertmanager; beyond it the oldest go.
  std::size_t batch_size_max = 256;     ///< Alerts in one request.
  bool drains_on_stop = true;
  Duration drain_timeout = seconds(5);
  Duration retry_min = seconds(1);  ///< After a failure; doubled with every further one.
  Duration retry_max = minutes(1);
  /// Answers that are remembered, of all Alertmanagers; some 300 bytes each.
  std::size_t outcomes_max = 20'000;
};

/// Sends alerts to Alertmanagers over their API v2: every alert to every one of them, each with a
/// queue and a pace of its own. What could not be sent is tried again, and kept on disk from the
/// first failure on, so that neither an outage nor a restart loses the end of an alert. A
/// repetition that overtakes its like in the queue replaces it. Driven by `run_due`; any number of
/// threads may deliver. Stop the HTTP client's callbacks (destroy it) or call stop() before
/// destroying it.
class AlertmanagerSender final : public AlertSink {
 public:
  struct Doors {
    FileSystem& files;
    std::string directory;  ///< `<data>/tarsier/alertmanager`
    HttpClient& client;
    std::function<std::int64_t()> monotonic_ns;
    Logger& log;
    std::function<void()> wake;  ///< Has `run_due` called soon; may be empty.
  };
  AlertmanagerSender(AlertmanagerOptions options, Doors doors);
  ~AlertmanagerSender() override;

  /// Queues of Alertmanagers that are no longer there are dropped; new ones begin with what an
  /// earlier process left on disk for them.
  void apply(AlertmanagerSettings settings);
  Status deliver(const AlertBatch& batch) override;
  /// Starts the requests that are due.
  Timestamp run_due(Timestamp now);
  /// Sends what it can within the drain timeout, keeps the rest on disk.
  void stop(Timestamp now);

  std::vector<std::string> active_urls() const;
  std::vector<std::string> dropped_urls() const;
  /// What was answered for the alert with these own labels, since the process began; oldest first.
  std::vector<SentOutcome> outcomes(Fingerprint origin) const;
  void collect(MetricWriter& out, Timestamp now) const;

 private:
  struct Queue;
  using QueuePtr = std::shared_ptr<Queue>;

  bool add(Queue& queue, const Alert& alert) REQUIRES_LOCK(mutex_);
  /// A request on its way.
  struct Sending {
    std::vector<std::uint64_t> numbers;
    std::vector<SentOutcome> outcomes;  ///< Of each alert, to be completed.
    std::int64_t begin_ns = 0;
  };
  void start_request(const QueuePtr& queue, Timestamp now);
  void finish_request(const QueuePtr& queue, Sending sending, const Result<HttpResponse>& answer);
  /// Writes or removes the file of the queue; takes what to write by value, for the disk is slow.
  void keep(const std::string& path, const std::vector<Alert>& alerts);
  std::string path_of(const std::string& url) const;

  const AlertmanagerOptions options_;
  const Doors doors_;
  mutable Mutex mutex_;
  CondVar finished_;
  std::shared_ptr<const AlertmanagerSettings> settings_ GUARDED_BY(mutex_);
  std::map<std::string, QueuePtr> queues_ GUARDED_BY(mutex_);
  std::size_t in_flight_ GUARDED_BY(mutex_) = 0;
  bool is_stopping_ GUARDED_BY(mutex_) = false;
  SentOutcomes outcomes_ GUARDED_BY(mutex_);
};

/// The body of a request.
std::string alertmanager_body(const std::vector<Alert>& alerts);

}  // namespace tarsier::alerting
