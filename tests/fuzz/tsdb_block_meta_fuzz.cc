#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tsdb/block/block_meta.h"

namespace tarsier {

void fuzz_one(Bytes input) {
  const auto meta = tsdb::parse_block_meta(as_text(input));
  if (!meta.ok()) return;
  const auto again = tsdb::parse_block_meta(tsdb::format_block_meta(*meta));
  CHECK(again.ok() && *again == *meta);
}

}  // namespace tarsier
