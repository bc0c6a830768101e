#include "base/check.h"
#include "ingest/exposition/protobuf.h"
#include "ingest/native_limits.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {
namespace {

void read_all(std::string_view body, ingest::HistogramParts parts) {
  ingest::SectionArena arena;
  ingest::ProtobufParser parser(body, parts, arena);
  ingest::ExposedLabels labels;
  ingest::ScrapeConfig limits;
  limits.native_histogram_bucket_limit = 20;
  limits.native_histogram_min_bucket_factor = 1.1;
  for (;;) {
    const ingest::EntryKind kind = parser.next();
    if (kind == ingest::EntryKind::kEnd) return;
    if (kind == ingest::EntryKind::kError) {
      CHECK(!parser.status().ok());
      return;
    }
    if (kind != ingest::EntryKind::kSeries && kind != ingest::EntryKind::kHistogram) continue;
    CHECK(!ingest::packed_name(parser.sample().section).empty());
    if (parser.labels(parser.sample(), labels).ok()) CHECK(!labels.views().empty());
    for (const tsdb::Exemplar& exemplar : parser.exemplars()) {
      (void)tsdb::validate_for_storage(exemplar).ok();
    }
    if (kind == ingest::EntryKind::kHistogram) {
      CHECK(parts.native);
      (void)ingest::apply_native_limits(limits, parser.histogram()).ok();
    }
  }
}

}  // namespace

/// Whatever is exposed, and whichever parts of histograms are wanted: no harm.
void fuzz_one(Bytes bytes) {
  const std::string_view body = as_text(bytes);
  read_all(body, {});
  read_all(body, {.native = true});
  read_all(body, {.native = true, .classic_beside_native = true});
}

}  // namespace tarsier
