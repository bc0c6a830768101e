#include "alerting/journal_record.h"

#include <utility>

#include "alerting/alert_bytes.h"
#include "base/crc32c.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

// Stored: never renumber.
enum class RecordKind : std::uint8_t {
  kPut = 1,
  kErase = 2,
  kDrop = 3,
  kSent = 4,
  kEvaluated = 5,
  kForget = 6,
  kEvent = 7,
};

std::string begin(RecordKind kind, std::string_view subject) {
  std::string out;
  put_u8(out, static_cast<std::uint8_t>(kind));
  put_string(out, subject);
  return out;
}

Result<AlertRecord> read_record(ByteReader& in) {
  AlertRecord record{.labels = TRY(read_labels(in))};
  record.annotations = read_annotations(in);
  const std::uint8_t state = in.u8();
  const std::uint8_t reason = in.u8();
  if (state > 2 || reason > 3) return corruption("the state of an alert");
  record.state = static_cast<AlertState>(state);
  record.resolve_reason = static_cast<ResolveReason>(reason);
  record.value = in.f64();
  for (Timestamp* const t : {&record.active_at, &record.fired_at, &record.resolved_at,
                             &record.keep_firing_since, &record.last_sent}) {
    t->ms = in.varint();
  }
  return record;
}

Result<AlertEvent> read_event(ByteReader& in, std::string owner) {
  AlertEvent event;
  event.owner = std::move(owner);
  event.at.ms = in.varint();
  const std::uint8_t kind = in.u8();
  const std::uint8_t reason = in.u8();
  if (kind < 1 || kind > 6 || reason > 3) return corruption("an event of an alert");
  event.kind = static_cast<AlertEventKind>(kind);
  event.reason = static_cast<ResolveReason>(reason);
  event.value = in.f64();
  event.labels = TRY(read_labels(in));
  return event;
}

void erase_from(JournalImage& image, std::string_view owner, const tsdb::Labels& labels) {
  const auto found = image.alerts.find(owner);
  if (found == image.alerts.end()) return;
  found->second.erase(labels);
  if (found->second.empty()) image.alerts.erase(found);
}

}  // namespace

std::string encode_put(std::string_view owner, const AlertRecord& record) {
  std::string out = begin(RecordKind::kPut, owner);
  put_labels(out, record.labels);
  put_annotations(out, record.annotations);
  put_u8(out, static_cast<std::uint8_t>(record.state));
  put_u8(out, static_cast<std::uint8_t>(record.resolve_reason));
  put_f64(out, record.value);
  for (const Timestamp t : {record.active_at, record.fired_at, record.resolved_at,
                            record.keep_firing_since, record.last_sent}) {
    put_varint(out, t.ms);
  }
  return out;
}

std::string encode_erase(std::string_view owner, const tsdb::Labels& labels) {
  std::string out = begin(RecordKind::kErase, owner);
  put_labels(out, labels);
  return out;
}

std::string encode_drop(std::string_view owner) { return begin(RecordKind::kDrop, owner); }

std::string encode_sent(std::string_view owner, const tsdb::Labels& labels, Timestamp at) {
  std::string out = begin(RecordKind::kSent, owner);
  put_labels(out, labels);
  put_varint(out, at.ms);
  return out;
}

std::string encode_evaluated(std::string_view group, Timestamp at) {
  std::string out = begin(RecordKind::kEvaluated, group);
  put_varint(out, at.ms);
  return out;
}

std::string encode_forget(std::string_view group) { return begin(RecordKind::kForget, group); }

std::string encode_event(const AlertEvent& event) {
  std::string out = begin(RecordKind::kEvent, event.owner);
  put_varint(out, event.at.ms);
  put_u8(out, static_cast<std::uint8_t>(event.kind));
  put_u8(out, static_cast<std::uint8_t>(event.reason));
  put_f64(out, event.value);
  put_labels(out, event.labels);
  return out;
}

void append_framed(std::string& out, JournalPosition position, std::string_view payload) {
  std::string body;
  put_uvarint(body, position.value);
  body += payload;
  put_be32(out, static_cast<std::uint32_t>(body.size()));
  put_be32(out, crc32c(as_bytes(body)));
  out += body;
}

Status apply_payload(JournalImage& image, Bytes payload) {
  ByteReader in(payload);
  const auto kind = static_cast<RecordKind>(in.u8());
  const std::string subject(in.string());
  if (!in.ok() || !is_valid_utf8(subject)) return corruption("a record without a subject");
  switch (kind) {
    case RecordKind::kPut: {
      AlertRecord record = TRY(read_record(in));
      if (!in.ok() || !in.empty()) return corruption("the record of an alert");
      tsdb::Labels labels = record.labels;
      image.alerts[subject].insert_or_assign(std::move(labels), std::move(record));
      return {};
    }
    case RecordKind::kErase: {
      const tsdb::Labels labels = TRY(read_labels(in));
      if (!in.ok() || !in.empty()) return corruption("the record of an end");
      erase_from(image, subject, labels);
      return {};
    }
    case RecordKind::kDrop: image.alerts.erase(subject); return {};
    case RecordKind::kSent: {
      const tsdb::Labels labels = TRY(read_labels(in));
      const Timestamp at{in.varint()};
      if (!in.ok() || !in.empty()) return corruption("the record of a notification");
      const auto owner = image.alerts.find(subject);
      if (owner == image.alerts.end()) return {};
      const auto alert = owner->second.find(labels);
      if (alert != owner->second.end()) alert->second.last_sent = at;
      return {};
    }
    case RecordKind::kEvaluated: {
      const Timestamp at{in.varint()};
      if (!in.ok() || !in.empty()) return corruption("the record of an evaluation");
      image.evaluated[subject] = at;
      return {};
    }
    case RecordKind::kForget: image.evaluated.erase(subject); return {};
    case RecordKind::kEvent: {
      AlertEvent event = TRY(read_event(in, subject));
      if (!in.ok() || !in.empty()) return corruption("the record of an event");
      image.history.add(std::move(event));
      return {};
    }
  }
  return corruption("a record of an unknown kind");
}

}  // namespace tarsier::alerting
