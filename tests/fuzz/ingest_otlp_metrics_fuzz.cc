#include "base/check.h"
#include "ingest/otlp/model.h"
#include "ingest/otlp/translate.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/table_appender.h"

namespace tarsier {

/// Both forms, deltas added up or not, and what either of them means to storage.
void fuzz_one(Bytes input) {
  ingest::DeltaAccumulator sums({.streams_max = 10});
  for (const auto& decoded : {ingest::decode_otlp_protobuf(as_text(input), 1000),
                              ingest::decode_otlp_json(as_text(input), 1000)}) {
    if (!decoded.ok()) continue;
    for (const bool has_custom_buckets : {false, true}) {
      testing::TableHead head;
      const auto appender = head.appender();
      ingest::OtlpOutcome outcome;
      const ingest::OtlpOptions options{
          .delta = has_custom_buckets ? ingest::OtlpDelta::kAccumulate : ingest::OtlpDelta::kStore,
          .convert_histograms_to_nhcb = has_custom_buckets};
      ingest::OtlpRequest request = *decoded;
      const Status status = ingest::append_otlp(request, options, minutes(5), {sums, Timestamp{0}},
                                                *appender, outcome);
      CHECK(status.ok(), status.message());
      CHECK(outcome.rejected <= decoded->point_count);
    }
  }
}

}  // namespace tarsier
