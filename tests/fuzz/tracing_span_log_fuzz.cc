#include "tests/fuzz/fuzz.h"

#include <string>

#include "base/bytes.h"
#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tracing/buffer/span_log.h"

namespace tarsier {

// Any bytes as a segment: what is whole is replayed, the rest ends it; what was replayed is read
// again at its place.
void fuzz_one(Bytes input) {
  testing::FaultyFileSystem files;
  CHECK(files.create_directories("spans").ok());
  testing::put_file(files, "spans/00000003", as_text(input));
  NullLogger quiet;
  const auto log = tracing::SpanLog::open(files, "spans", {}, quiet).value();
  const Status status = log->replay([&](std::shared_ptr<const tracing::SpanBatch> batch, Timestamp,
                                        std::shared_ptr<tracing::SpanLogPlace> place) {
    CHECK(log->read(*place).value()->wire() == batch->wire());
    log->forget(*place);
  });
  CHECK(status.ok());
  CHECK(log->removable_segments().size() == 1);
}

}  // namespace tarsier
