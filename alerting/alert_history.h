#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/alert.h"
#include "alerting/alert_labelling.h"
#include "alerting/alert_table.h"
#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

/// What happened to an alert. Stored in the journal: never renumber.
enum class AlertEventKind : unsigned char {
  kPending = 1,
  kFiring = 2,
  kResolved = 3,
  kDropped = 4,   ///< Its wait ended before it fired, or its rule exceeded the limit.
  kStarted = 5,   ///< Of no alert: the process came up.
  kReloaded = 6,  ///< Of no alert: a configuration was put in force.
};
/// "pending", "firing", "resolved", "dropped", "started", "reloaded".
std::string_view alert_event_name(AlertEventKind kind);

/// One change in the life of an alert.
struct AlertEvent {
  Timestamp at;
  std::string owner;  ///< As in the journal: `rule;<file>;<group>;...`.
  tsdb::Labels labels;
  AlertEventKind kind = AlertEventKind::kPending;
  ResolveReason reason = ResolveReason::kNone;  ///< Of a resolved one.
  double value = 0;                             ///< The last one known.
  bool operator==(const AlertEvent&) const = default;
};

/// What a record that becomes another means, if anything changed. Null: there is no such record.
std::optional<AlertEvent> event_between(const AlertRecord* before, const AlertRecord* after,
                                        Timestamp at);

/// Which events are asked for.
struct AlertEventFilter {
  std::optional<Fingerprint> id;  ///< Under `labelling`, as has_alert_id() has it.
  /// What ids are made by; null: the labels as they are.
  std::shared_ptr<const AlertLabelling> labelling;
  std::vector<tsdb::Matcher> matchers;  ///< All of them.
  Timestamp begin = kMinTimestamp;      ///< Inclusive, as the end.
  Timestamp end = kMaxTimestamp;
  std::size_t limit = 0;       ///< The newest so many; 0: all.
  bool is_of_process = false;  ///< Starts and reloads, instead of what happened to alerts.
};

/// How much is remembered. What is beyond either is forgotten, the oldest first.
struct AlertHistoryLimits {
  /// Before the newest event.
  Duration age_max = days(90);
  /// Of memory, and about as much of the journal, which is read and written anew at each start. An
  /// alert that fires and ends takes some 500 bytes: 60 an hour for 90 days.
  std::size_t bytes_max = std::size_t{64} << 20;
};

/// The last changes of all alerts, oldest first. One thread at a time.
class AlertHistory final {
 public:
  /// Forgets what is beyond them at once.
  void set_limits(AlertHistoryLimits limits);
  void add(AlertEvent event);
  const std::deque<AlertEvent>& events() const { return events_; }
  /// Newest first.
  std::vector<AlertEvent> find(const AlertEventFilter& filter) const;
  std::size_t size_bytes() const { return bytes_; }

 private:
  void trim();

  AlertHistoryLimits limits_;
  std::deque<AlertEvent> events_;
  std::size_t bytes_ = 0;
  Timestamp newest_ = kMinTimestamp;
};

}  // namespace tarsier::alerting
