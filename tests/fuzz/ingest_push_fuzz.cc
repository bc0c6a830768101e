#include "ingest/push/rows.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// The line formats that agents push.
void fuzz_one(Bytes input) {
  const std::string_view text = as_text(input);
  const ingest::PushLimits limits{.samples_max = 1000, .line_bytes_max = 4096};
  static_cast<void>(ingest::parse_influx_lines(text, {}, limits));
  static_cast<void>(ingest::parse_json_lines(text, limits));
  static_cast<void>(ingest::parse_text_lines(text, Timestamp{0}, limits));
}

}  // namespace tarsier
