#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tracing/span.h"
#include "tracing/zipkin.h"

namespace tarsier {

/// Both forms: what is taken as spans is a request.
void fuzz_one(Bytes input) {
  for (const auto& wire : {tracing::zipkin_json_to_wire(as_text(input)),
                           tracing::zipkin_protobuf_to_wire(as_text(input))}) {
    if (wire.ok()) CHECK(tracing::SpanBatch::decode(*wire).ok());
  }
}

}  // namespace tarsier
