#include <string>

#include "base/compression.h"
#include "base/crc32c.h"
#include "tests/fuzz/fuzz.h"
#include "tracing/store/group_rows.h"

namespace tarsier {

/// A directory, and a group around it whose columns are the input too: nothing a damaged block says
/// is believed.
void fuzz_one(Bytes input) {
  using namespace tracing;
  const Result<GroupDirectory> directory = decode_directory(as_text(input));
  if (!directory.ok() || directory->row_count > 10'000) return;
  GroupDirectory copy = *directory;
  // Columns are sealed with what they hold, so that their contents are reached.
  std::string plain(as_text(input));
  std::string packed;
  zstd_compress(input, 1, packed);
  for (ColumnEntry& column : copy.columns) {
    column.offset = 0;
    column.size = packed.size();
    column.raw_size = plain.size();
    column.crc = crc32c(as_bytes(packed));
  }
  const GroupInfo info{
      .size = packed.size(), .row_count = copy.row_count, .trace_count = copy.trace_count};
  auto rows = GroupRows::open(info, copy, [&](std::uint64_t offset, std::uint64_t size) {
    return Result<std::string>(packed.substr(offset, size));
  });
  if (!rows.ok()) return;
  for (std::uint32_t row = 0; row < (*rows)->row_count(); ++row) (void)(*rows)->wire(row).ok();
  for (const traceql::Attribute& attribute : (*rows)->attributes()) {
    (void)(*rows)->column(attribute);
  }
}

}  // namespace tarsier
