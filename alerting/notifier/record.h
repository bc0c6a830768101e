#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "alerting/alert.h"
#include "alerting/silence.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

// What the notifier remembers over a restart (FORMAT.md, "Notifier log"). Each record is one
// change; a log is the changes in order, and a snapshot is the changes that lead to a state.

/// An alert is known, or known anew.
struct LoggedAlert {
  Alert alert;
  bool operator==(const LoggedAlert&) const = default;
};
struct AlertGoneRecord {
  Fingerprint fingerprint;
  bool operator==(const AlertGoneRecord&) const = default;
};

/// When a group is looked at next.
struct GroupRecord {
  std::string receiver;
  std::string key;
  Timestamp next_flush;
  bool has_flushed = false;
  bool operator==(const GroupRecord&) const = default;
};
struct GroupGoneRecord {
  std::string receiver;
  std::string key;
  bool operator==(const GroupGoneRecord&) const = default;
};

/// What an integration was last told of a group.
struct NotifiedRecord {
  std::string integration;  ///< `receiver/webhook[0]`
  std::string group_key;
  Timestamp at;
  Timestamp expires_at;
  std::vector<std::uint64_t> firing;  ///< Fingerprints, sorted.
  std::vector<std::uint64_t> resolved;
  bool operator==(const NotifiedRecord&) const = default;
};
struct NotifiedGoneRecord {
  std::string integration;
  std::string group_key;
  bool operator==(const NotifiedGoneRecord&) const = default;
};

/// A decided notification: what it says never changes, however often it is sent.
struct Message {
  std::string id;  ///< 64 hex digits; receivers know repetitions by it.
  std::string integration;
  std::string receiver;
  std::string group_key;
  Timestamp created_at;
  std::string url;   ///< Expanded; empty: the configuration's.
  std::string body;  ///< Without secrets.
  std::uint32_t firing_count = 0;
  std::uint32_t resolved_count = 0;
  bool operator==(const Message&) const = default;
};
struct MessageRecord {
  Message message;
  bool operator==(const MessageRecord&) const = default;
};
/// An attempt failed and another will come.
struct AttemptRecord {
  std::string id;
  std::uint32_t attempt_count = 0;
  Timestamp first_at;
  Timestamp next_at;
  std::uint32_t status = 0;  ///< 0: no answer.
  std::string error;
  bool operator==(const AttemptRecord&) const = default;
};
/// The receiver has it.
struct DeliveredRecord {
  std::string id;
  Timestamp at;
  std::uint32_t status = 0;
  bool operator==(const DeliveredRecord&) const = default;
};
/// Nobody tries any more, until it is replayed.
struct DeadRecord {
  std::string id;
  Timestamp at;
  std::string reason;
  bool operator==(const DeadRecord&) const = default;
};
struct ReplayedRecord {
  std::string id;
  Timestamp at;
  bool operator==(const ReplayedRecord&) const = default;
};
/// A dead letter is no longer kept.
struct DeadGoneRecord {
  std::string id;
  bool operator==(const DeadGoneRecord&) const = default;
};

/// What happened to a message that is no longer kept: for people who look back.
struct HistoryRecord {
  std::string id;
  std::string integration;
  std::string group_key;
  Timestamp created_at;
  Timestamp delivered_at;
  std::uint32_t status = 0;
  std::uint32_t attempt_count = 0;
  std::uint32_t firing_count = 0;
  std::uint32_t resolved_count = 0;
  bool operator==(const HistoryRecord&) const = default;
};

struct SilenceRecord {
  Silence silence;
  bool operator==(const SilenceRecord&) const = default;
};
struct SilenceGoneRecord {
  std::string id;
  bool operator==(const SilenceGoneRecord&) const = default;
};

/// Stored as the index plus one: never reorder, add at the end.
using Record =
    std::variant<LoggedAlert, AlertGoneRecord, GroupRecord, GroupGoneRecord, NotifiedRecord,
                 NotifiedGoneRecord, MessageRecord, AttemptRecord, DeliveredRecord, DeadRecord,
                 ReplayedRecord, DeadGoneRecord, HistoryRecord, SilenceRecord, SilenceGoneRecord>;

void encode_record(std::string& out, const Record& record);
/// All records of one frame. kCorruption names the offset of the first bad one.
Result<std::vector<Record>> decode_records(Bytes bytes);

}  // namespace tarsier::alerting
