#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tsdb/block/tombstones.h"

namespace tarsier {

void fuzz_one(Bytes input) {
  const auto tombstones = tsdb::Tombstones::decode(input);
  if (!tombstones.ok()) return;
  const auto again = tsdb::Tombstones::decode(as_bytes(tombstones->encode()));
  CHECK(again.ok() && again->all() == tombstones->all());
}

}  // namespace tarsier
