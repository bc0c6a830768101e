#include "alerting/alert_journal.h"
#include "alerting/alertmanager_queue_file.h"
#include "alerting/rule_test/series_notation.h"
#include "base/bytes.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// What this room reads back from disk, and the notation of test series.
void fuzz_one(Bytes input) {
  static_cast<void>(alerting::read_journal(input));
  static_cast<void>(alerting::decode_queue(input));
  if (input.size() < 64) static_cast<void>(alerting::parse_series_values(as_text(input)));
}

}  // namespace tarsier
