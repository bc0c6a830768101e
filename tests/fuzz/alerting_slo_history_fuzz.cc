#include "alerting/event_history.h"
#include "base/check.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// A segment of counted events: what can be read is written the same way again.
void fuzz_one(Bytes input) {
  const auto segment = alerting::decode_segment(input);
  if (!segment.ok()) return;
  const auto again = alerting::decode_segment(as_bytes(alerting::encode_segment(*segment)));
  CHECK(again.ok());
}

}  // namespace tarsier
