#include "tests/fuzz/fuzz.h"

#include <string>

#include "base/bytes.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tracing/decisions/decision_segment.h"

namespace tarsier {

// A log reads as some decisions or as damage; what was read is written sealed and found again. The
// same bytes taken for a sealed file are searched without harm.
void fuzz_one(Bytes input) {
  testing::FaultyFileSystem files;
  std::size_t whole_bytes = 0;
  const auto table = tracing::read_decision_log(as_text(input), whole_bytes);
  if (table.ok()) {
    CHECK(whole_bytes <= input.size());
    CHECK(write_file_atomically(files, "sealed", tracing::encode_sealed_decisions(**table)).ok());
    const auto sealed = tracing::SealedDecisions::open(files, "sealed").value();
    CHECK(sealed->decision_count() == (*table)->size());
    for (const auto& entry : (*table)->sorted()) {
      const auto found = sealed->find(files, entry.fingerprint).value();
      CHECK(found.has_value() && found->bits == entry.decision.bits);
      static_cast<void>(found->unpack());
    }
    CHECK(sealed->load(files).value()->size() == (*table)->size());
  }
  testing::put_file(files, "foreign", as_text(input));
  const auto foreign = tracing::SealedDecisions::open(files, "foreign");
  if (!foreign.ok()) return;
  for (std::uint64_t i = 0; i < 8; ++i) {
    static_cast<void>((*foreign)->find(files, {i * (tracing::kRandomnessEnd / 8)}));
  }
  static_cast<void>((*foreign)->load(files));
}

}  // namespace tarsier
