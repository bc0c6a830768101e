#include "base/check.h"
#include "ingest/exposition/openmetrics.h"
#include "ingest/exposition/openmetrics_rules.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {
namespace {

/// Reads everything, labels and exemplars too. False if the body is wrong.
bool is_readable(std::string_view body) {
  ingest::OpenMetricsParser parser(body);
  ingest::ExposedLabels labels;
  for (;;) {
    const ingest::EntryKind kind = parser.next();
    if (kind == ingest::EntryKind::kEnd) return true;
    if (kind == ingest::EntryKind::kError) {
      CHECK(!parser.status().ok());
      return false;
    }
    if (kind == ingest::EntryKind::kHelp) CHECK(parser.help().size() <= body.size());
    if (kind != ingest::EntryKind::kSeries) continue;
    const std::string_view section = parser.sample().section;
    CHECK(section.data() >= body.data());
    CHECK(section.data() + section.size() <= body.data() + body.size());
    if (!parser.labels(parser.sample(), labels).ok()) return false;
  }
}

}  // namespace

/// What the strict rules allow, a scrape can read.
void fuzz_one(Bytes bytes) {
  const std::string_view body = as_text(bytes);
  const bool readable = is_readable(body);
  if (ingest::check_openmetrics(body).ok()) CHECK(readable);
}

}  // namespace tarsier
