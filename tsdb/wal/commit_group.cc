#include "tsdb/wal/commit_group.h"

#include "base/check.h"

namespace tarsier::tsdb {

void encode_commit_group(std::size_t record_count, std::string& out) {
  CHECK(record_count <= kCommitGroupRecordsMax);
  put_u8(out, kCommitGroupType);
  put_uvarint(out, record_count);
}

std::optional<std::size_t> decode_commit_group(Bytes record) {
  ByteReader reader(record);
  if (reader.u8() != kCommitGroupType) return std::nullopt;
  const std::uint64_t count = reader.uvarint();
  if (!reader.ok() || !reader.empty() || count > kCommitGroupRecordsMax) return std::nullopt;
  return static_cast<std::size_t>(count);
}

}  // namespace tarsier::tsdb
