#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tracing/otlp_json.h"
#include "tracing/span.h"

namespace tarsier {

/// Whatever is taken as a request is one in protobuf, too, unless it is too deep.
void fuzz_one(Bytes input) {
  const Result<std::string> wire = tracing::otlp_json_to_wire(as_text(input));
  if (!wire.ok()) return;
  const auto batch = tracing::SpanBatch::decode(*wire);
  if (!batch.ok()) CHECK(batch.status().code() == Code::kCorruption, batch.status().message());
}

}  // namespace tarsier
