#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tsdb/block/shipped_list.h"

namespace tarsier {

void fuzz_one(Bytes input) {
  const auto list = tsdb::parse_shipped_list(as_text(input));
  if (!list.ok()) return;
  const auto again = tsdb::parse_shipped_list(tsdb::format_shipped_list(*list));
  CHECK(again.ok() && *again == *list);
}

}  // namespace tarsier
