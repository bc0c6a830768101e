#include "base/check.h"
#include "ingest/exposition/text.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {

/// Every view the parser gives lies inside the body, and parsing a section twice gives one result.
void fuzz_one(Bytes bytes) {
  const std::string_view body = as_text(bytes);
  ingest::TextParser parser(body);
  ingest::ExposedLabels labels;
  ingest::ExposedLabels again;
  for (;;) {
    const ingest::EntryKind kind = parser.next();
    if (kind == ingest::EntryKind::kEnd) return;
    if (kind == ingest::EntryKind::kError) {
      CHECK(!parser.status().ok());
      return;
    }
    if (kind == ingest::EntryKind::kHelp) CHECK(parser.help().size() <= body.size());
    if (kind != ingest::EntryKind::kSeries) continue;
    const std::string_view section = parser.sample().section;
    CHECK(section.data() >= body.data());
    CHECK(section.data() + section.size() <= body.data() + body.size());
    const bool is_valid = parser.labels(parser.sample(), labels).ok();
    CHECK(is_valid == parser.labels(parser.sample(), again).ok());
    if (is_valid) CHECK(labels.views() == again.views());
  }
}

}  // namespace tarsier
