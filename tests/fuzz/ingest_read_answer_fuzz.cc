#include "ingest/remote/read_answer.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// The first byte chooses the form.
void fuzz_one(Bytes data) {
  if (data.empty()) return;
  const TimeRange all{kMinTimestamp, kMaxTimestamp};
  const ingest::ReadAnswerLimits limits{.frame_bytes_max = 1 << 20, .samples_max = 100'000};
  const std::string_view text = as_text(data.subspan(1));
  auto series = (std::to_integer<unsigned>(data[0]) & 1) != 0
                    ? ingest::read_chunked_answer(text, all, limits)
                    : ingest::read_sampled_answer(text, all, limits);
  if (series.ok()) static_cast<void>(ingest::tidy_answer(*series, {"job"}));
}

}  // namespace tarsier
