#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "alerting/notifier/body.h"
#include "alerting/notifier/inhibitor.h"
#include "alerting/notifier/metrics.h"
#include "alerting/notifier/notification.h"
#include "alerting/notifier/state.h"
#include "alerting/notifier_config.h"

namespace tarsier::alerting {

/// Applies records to a state and keeps their encoding for the log. One at a time for a state.
class Changes final {
 public:
  explicit Changes(NotifierState& state) : state_(state) {}
  void add(const Record& record) {
    state_.apply(record);
    encode_record(payload_, record);
  }
  /// A group was looked at and there was nothing to say: worth no write and no sync of its own. It
  /// goes to disk with whatever does. Lost with a crash, the group is looked at again, and again
  /// there is nothing to say.
  void add_quietly(const GroupRecord& record) {
    state_.apply(record);
    state_.quiet_groups.emplace(record.receiver, record.key);
  }
  std::size_t size_bytes() const { return payload_.size(); }
  /// What is to be written now: nothing where there is nothing that lasts.
  std::string take_payload();

 private:
  NotifierState& state_;
  std::string payload_;
};

struct DispatchOptions {
  std::string external_url;
  Duration retention = hours(120);  ///< Of what receivers were told.
};

/// Alerts into groups, groups into decided messages: routing, timing, inhibition, silences, mute
/// intervals, deduplication, as Alertmanager does it. Works on a state its owner guards; no I/O, no
/// clock.
class Dispatcher final {
 public:
  struct Group {
    const Route* route = nullptr;
    tsdb::Labels labels;
    std::set<Fingerprint> members;
    Timestamp next_flush;
    bool has_flushed = false;
  };

  Dispatcher(NotifierState& state, DispatchOptions options)
      : state_(state), options_(std::move(options)) {}

  /// Sorts every known alert into the groups of a new configuration. `now` is when alerts that open
  /// a new group begin to wait.
  void configure(std::shared_ptr<const NotifierConfig> config,
                 std::shared_ptr<const NotificationTemplates> templates, Timestamp now,
                 Changes& changes);

  /// Takes one alert, firing or resolved.
  void receive(Alert alert, Timestamp now, Changes& changes);

  /// Decides for every group that is due. Gives when the next one is.
  Timestamp flush_due(Timestamp now, Changes& changes);
  Timestamp next_flush() const;

  const std::map<NotifierState::GroupKey, Group>& groups() const { return groups_; }
  std::vector<Fingerprint> inhibitors(const Alert& alert, Timestamp now);
  std::vector<std::string> silences(const Alert& alert, Timestamp now) const;
  /// The time intervals that hold a route's notifications back now: those that mute, or all of the
  /// active ones when none of them holds.
  std::vector<std::string> mute_intervals(const Route& route, Timestamp now) const;
  /// What messages of a group say as `routeLabels`.
  tsdb::Labels route_labels(const NotifierState::GroupKey& key, const Group& group, Timestamp now);
  const SuppressedCounts& suppressed() const { return suppressed_; }
  /// Errors of templates since the last call: for the log.
  std::vector<std::string> take_errors() { return std::exchange(errors_, {}); }

 private:
  void sort_in(const Alert& alert, Timestamp now, Changes& changes);
  void flush(const NotifierState::GroupKey& key, Group& group, Timestamp now, Changes& changes);
  Notification notification_of(const NotifierState::GroupKey& key, const Group& group,
                               std::vector<NotifiedAlert> alerts, Timestamp now);
  void notify(const NotifierState::GroupKey& key, const Group& group,
              const std::vector<NotifiedAlert>& alerts, Timestamp now, Changes& changes);
  void drop_resolved(Group& group, Timestamp now, Changes& changes);
  const Inhibitor& inhibitor();

  NotifierState& state_;
  const DispatchOptions options_;
  std::shared_ptr<const NotifierConfig> config_;
  std::shared_ptr<const NotificationTemplates> templates_;
  std::map<NotifierState::GroupKey, Group> groups_;
  std::map<Fingerprint, std::size_t> group_count_of_;  // How many groups hold an alert.
  std::unique_ptr<Inhibitor> inhibitor_;               // Null: alerts have changed since.
  SuppressedCounts suppressed_;
  std::vector<std::string> errors_;
};

/// `receiver/webhook[0]`
std::string integration_name(const std::string& receiver, const IntegrationConfig& integration,
                             std::size_t index);

/// Whether and why a receiver is told, by what it was told last (null: nothing). Sets are sorted
/// fingerprints.
std::optional<std::string_view> notification_reason(const NotifiedRecord* last,
                                                    const std::vector<std::uint64_t>& firing,
                                                    const std::vector<std::uint64_t>& resolved,
                                                    bool send_resolved, Duration repeat_interval,
                                                    Timestamp now);

/// An update of an alert that is known already: the earliest start, the newest annotations.
Alert merged(const Alert& known, const Alert& update, Timestamp now);

}  // namespace tarsier::alerting
