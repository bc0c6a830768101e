#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "alerting/notifier/record.h"

namespace tarsier::alerting {

/// Everything the notifier knows and must not forget: a function of the records applied so far. One
/// thread at a time; its owner guards it.
class NotifierState final {
 public:
  /// A message on its way.
  struct Queued {
    Message message;
    std::uint32_t attempt_count = 0;
    Timestamp first_at{0};  ///< Of the first attempt.
    Timestamp next_at{0};
    std::uint32_t status = 0;
    std::string error;
    bool in_flight = false;  ///< Not stored.
  };
  struct Dead {
    Queued queued;
    Timestamp at;
    std::string reason;
  };
  /// Messages of one integration for one group: strictly one after the other, so that no "resolved"
  /// overtakes its "firing".
  using LaneKey = std::pair<std::string, std::string>;  // Integration, group key.
  using Lane = std::deque<Queued>;
  using GroupKey = std::pair<std::string, std::string>;  // Receiver, group key.
  struct GroupTimer {
    Timestamp next_flush;
    bool has_flushed = false;
  };

  void apply(const Record& record);
  /// Hands out records that lead an empty state to this one.
  void snapshot(const std::function<void(const Record&)>& emit) const;

  std::map<Fingerprint, Alert> alerts;
  std::map<GroupKey, GroupTimer> groups;
  std::set<GroupKey> quiet_groups;  ///< Not stored: whose timer the log does not have yet.
  std::map<LaneKey, NotifiedRecord> notified;
  std::map<LaneKey, Lane> lanes;
  std::map<std::string, Dead> dead;
  std::map<std::string, Silence> silences;
  std::deque<HistoryRecord> history;  ///< Oldest first, at most kHistoryMax.

  static constexpr std::size_t kHistoryMax = 10'000;  ///< Some 300 bytes each.
  std::size_t queued_count() const { return lane_of_.size(); }
  bool knows(const std::string& message_id) const {
    return lane_of_.contains(message_id) || dead.contains(message_id);
  }
  /// Null if it is not queued.
  Queued* find(const std::string& message_id);

 private:
  void apply_one(const LoggedAlert& r);
  void apply_one(const AlertGoneRecord& r);
  void apply_one(const GroupRecord& r);
  void apply_one(const GroupGoneRecord& r);
  void apply_one(const NotifiedRecord& r);
  void apply_one(const NotifiedGoneRecord& r);
  void apply_one(const MessageRecord& r);
  void apply_one(const AttemptRecord& r);
  void apply_one(const DeliveredRecord& r);
  void apply_one(const DeadRecord& r);
  void apply_one(const ReplayedRecord& r);
  void apply_one(const DeadGoneRecord& r);
  void apply_one(const HistoryRecord& r);
  void apply_one(const SilenceRecord& r);
  void apply_one(const SilenceGoneRecord& r);
  Queued take(const std::string& id);

  std::map<std::string, LaneKey> lane_of_;
};

}  // namespace tarsier::alerting
