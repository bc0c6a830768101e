#include "tsdb/block/block_upgrade.h"

#include <algorithm>
#include <vector>

#include "base/json_reader.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/index/index_format.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kCurrentVersion = 1;
constexpr std::int64_t kMislabeledVersion = 2;
constexpr std::size_t kVersionOffset = 4;  // In an index, behind its magic number.
constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
constexpr std::uint64_t kMetaBytesMax = 16 << 20;

Status copy_with_version_2(FileSystem& files, const std::string& from, const std::string& to) {
  const auto source = TRY(files.open_readable(from, Access::kRead));
  const auto target = TRY(files.open_writable(to, OpenMode::kTruncate));
  std::vector<std::byte> buffer;
  for (std::uint64_t at = 0; at < source->size(); at += buffer.size()) {
    buffer.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(source->size() - at, kCopyBytes)));
    TRY(source->read_at(at, buffer));
    if (at == 0 && buffer.size() > kVersionOffset) buffer[kVersionOffset] = std::byte{2};
    TRY(target->append(buffer));
  }
  return target->sync();
}

}  // namespace

Result<MetaVersion> look_at_meta_version(FileSystem& files, const std::string& directory) {
  const std::string json =
      TRY(read_file(files, join_path(directory, kMetaFileName), kMetaBytesMax));
  const Result<JsonValue> document = parse_json(json);
  if (!document.ok()) return MetaVersion::kCurrent;
  const JsonValue* value = document->find("version");
  const Result<std::int64_t> version =
      value == nullptr ? Result<std::int64_t>(kCurrentVersion) : value->as_int64();
  if (!version.ok() || *version == kCurrentVersion) return MetaVersion::kCurrent;
  return *version == kMislabeledVersion ? MetaVersion::kMislabeled : MetaVersion::kUnknown;
}

Status fix_mislabeled_block(FileSystem& files, const std::string& directory) {
  const std::string json =
      TRY(read_file(files, join_path(directory, kMetaFileName), kMetaBytesMax));
  const BlockMeta meta = TRY(parse_block_meta(json, kMislabeledVersion));
  const std::string index = join_path(directory, kIndexFileName);
  const std::string repaired = index + ".repaired";
  TRY(copy_with_version_2(files, index, repaired));
  TRY(files.rename(repaired, index));
  TRY(files.sync_directory(directory));
  return write_file_atomically(files, join_path(directory, kMetaFileName), format_block_meta(meta));
}

}  // namespace tarsier::tsdb
