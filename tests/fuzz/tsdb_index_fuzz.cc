#include "tests/fuzz/fuzz.h"
#include "tsdb/index/index_reader.h"
#include "tsdb/index/select.h"

namespace tarsier {

void fuzz_one(Bytes input) {
  const auto index = tsdb::IndexReader::open_bytes(input, "input");
  if (!index.ok()) return;
  std::vector<std::uint32_t> refs;
  (void)(*index)->append_all(refs).ok();
  std::vector<tsdb::LabelView> labels;
  std::vector<tsdb::ChunkMeta> chunks;
  for (const std::uint32_t ref : refs) {
    const auto series = (*index)->series(ref);
    if (!series.ok()) continue;
    (void)(*index)->decode_labels(*series, labels).ok();
    (void)(*index)->overlaps(*series, {}).ok();
    (void)(*index)->append_chunks(*series, {}, chunks).ok();
  }
  for (const std::string_view name : (*index)->label_names()) {
    (void)(*index)->label_values(name);
    const std::vector<tsdb::Matcher> matchers = {
        tsdb::Matcher::create(tsdb::MatchOp::kRegex, std::string(name), "a.+b|").value()};
    (void)tsdb::select_postings(**index, matchers, nullptr).ok();
  }
}

}  // namespace tarsier
