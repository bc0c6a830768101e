#include "alerting/notifier/state.h"
#include "base/check.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Any bytes are refused or are records that a state takes, and whose encoding reads back.
void fuzz_one(Bytes bytes) {
  const Result<std::vector<alerting::Record>> records = alerting::decode_records(bytes);
  if (!records.ok()) return;
  alerting::NotifierState state;
  for (const alerting::Record& record : *records) state.apply(record);
  std::string snapshot;
  state.snapshot(
      [&](const alerting::Record& record) { alerting::encode_record(snapshot, record); });
  const Result<std::vector<alerting::Record>> again = alerting::decode_records(as_bytes(snapshot));
  CHECK(again.ok(), again.status().message());
  alerting::NotifierState copy;
  for (const alerting::Record& record : *again) copy.apply(record);
  CHECK(copy.alerts == state.alerts);
  CHECK(copy.silences == state.silences);
  CHECK(copy.queued_count() == state.queued_count());
  CHECK(copy.dead.size() == state.dead.size());
}

}  // namespace tarsier
