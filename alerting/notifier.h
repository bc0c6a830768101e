#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/alert.h"
#include "alerting/alert_sink.h"
#include "alerting/notifier_config.h"
#include "alerting/silence.h"
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

struct NotifierOptions {
  std::string directory;     ///< Where the log lies; made if it is not there.
  std::string external_url;  ///< Stands in messages.
  /// How long expired silences and what receivers were told is remembered.
  Duration retention = hours(120);
  /// A firing alert whose sender was not heard while we were away counts as over this much later.
  Duration restart_grace = minutes(5);

  // What changes cost only.

  Duration attempt_timeout = seconds(10);
  /// After this long a message becomes a dead letter: a day of outage, and a day to notice.
  Duration retry_for = hours(48);
  /// At once; of one group never more than one. Alertmanager has no bound: a burst of pages should
  /// not wait in rounds, each as long as a receiver's answer and a sync of the log.
  std::size_t attempts_per_integration_max = 64;
  std::size_t queued_messages_max = 100'000;     ///< Beyond it the oldest become dead letters.
  std::size_t dead_letters_max = 10'000;         ///< Beyond it the oldest are forgotten.
};

/// How the notifier meets the world.
struct NotifierDoor {
  FileSystem& files;
  HttpClient& client;
  /// Something became due earlier than run_due() said. Any thread; must not call back.
  std::function<void()> wake;
  std::function<std::int64_t()> monotonic_ns;  ///< Measures how long an attempt takes.
  Logger& log;
};

/// An alert with what becomes of it.
struct AlertStatus {
  Alert alert;
  std::vector<std::string> receivers;
  std::vector<std::string> silenced_by;  ///< Ids.
  std::vector<Fingerprint> inhibited_by;
  std::vector<std::string> muted_by;  ///< Names of the time intervals that hold all routes back.
  bool is_suppressed() const {
    return !silenced_by.empty() || !inhibited_by.empty() || !muted_by.empty();
  }
};

struct AlertGroup {
  tsdb::Labels labels;
  tsdb::Labels route_labels;
  std::string receiver;
  bool is_muted = false;  ///< By time intervals of its route, which `muted_by` of its alerts names.
  std::vector<AlertStatus> alerts;
};

/// A notification, wherever it stands.
struct NotificationStatus {
  enum class State : unsigned char { kQueued, kDelivered, kDead };
  State state = State::kQueued;
  std::string id;
  std::string integration;  ///< `receiver/webhook[0]`
  std::string group_key;
  Timestamp created_at;
  Timestamp changed_at;  ///< Of the next attempt, the delivery or the death.
  std::uint32_t attempt_count = 0;
  std::uint32_t status = 0;  ///< Of the last answer; 0: there was none.
  std::uint32_t firing_count = 0;
  std::uint32_t resolved_count = 0;
  std::string error;
};

/// The built-in notifier: takes alerts, groups and mutes them, and tells receivers. Every decision
/// and every undelivered message is on disk before anybody is told, so that neither a crash nor a
/// receiver's outage loses one; a message keeps its id and its body over every attempt. Driven by
/// run_due(); any number of threads may call the rest.
class Notifier final : public AlertSink {
 public:
  /// Reads what is stored. Nothing is sent before configure().
  static Result<std::unique_ptr<Notifier>> open(NotifierDoor door, NotifierOptions options,
                                                Timestamp now);
  ~Notifier() override;

  /// From now on this configuration. kInvalid when a template does not parse; the old one goes on
  /// then.
  Status configure(std::shared_ptr<const NotifierConfig> config, Timestamp now);
  std::shared_ptr<const NotifierConfig> config() const;

  /// The alerts are on disk when it succeeds.
  Status deliver(const AlertBatch& batch) override;
  /// The same for alerts others post: empty labels are dropped, missing times filled in. The valid
  /// ones are taken even when others are not; kInvalid then names what was wrong.
  Status post_alerts(std::vector<Alert> alerts, Timestamp now);

  /// Decides and sends what is due; says when to be called again. Scheduler thread.
  Timestamp run_due(Timestamp now);

  std::vector<AlertStatus> alerts(Timestamp now) const;
  std::vector<AlertGroup> groups(Timestamp now) const;

  std::vector<Silence> silences() const;
  std::optional<Silence> silence(const std::string& id) const;
  /// Adds a silence (empty id) or changes one; gives the id it has now. An active one whose
  /// matchers or start change is expired and a new one made. kNotFound for an unknown id, kInvalid.
  Result<std::string> set_silence(Silence silence, Timestamp now);
  /// Ends it now; kNotFound. Expiring an expired one is fine.
  Status expire_silence(const std::string& id, Timestamp now);

  /// Queued, dead and the last delivered ones, newest first.
  std::vector<NotificationStatus> notifications() const;
  /// Queues dead letters again: one, or all for an empty id. Gives how many.
  Result<std::size_t> replay(const std::string& id, Timestamp now);

  /// alertmanager_* and tarsier_notifier_*.
  void collect(MetricWriter& out, Timestamp now) const;

 private:
  struct Impl;
  explicit Notifier(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::alerting
