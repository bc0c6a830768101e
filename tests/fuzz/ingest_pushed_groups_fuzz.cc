#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "ingest/push/groups.h"
#include "tests/fuzz/fuzz.h"

namespace tarsier {
namespace {

void check(std::string_view file) {
  const Result<ingest::PushedGroups> groups =
      ingest::decode_groups(file, ingest::NameValidation::kUtf8);
  if (!groups.ok()) return;
  const Result<ingest::PushedGroups> again =
      ingest::decode_groups(ingest::encode_groups(*groups), ingest::NameValidation::kUtf8);
  CHECK(again.ok(), again.status().message());
  CHECK(again->size() == groups->size());
}

}  // namespace

/// What is read is written so that it can be read again; also behind a checksum that fits.
void fuzz_one(Bytes bytes) {
  check(as_text(bytes));
  std::string file = "TSPG1\n";
  const std::uint32_t crc = crc32c(bytes);
  for (int shift = 0; shift < 32; shift += 8) file += static_cast<char>(crc >> shift);
  check(file + std::string(as_text(bytes)));
}

}  // namespace tarsier
