#include "tsdb/block/tier_block.h"

#include <limits>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/json_writer.h"
#include "tsdb/block/block_meta.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kVersion = 2;
constexpr std::int64_t kVersionOfOpenWindows = 1;
constexpr std::uint64_t kFileBytesMax = 1 << 20;

Result<const JsonValue*> member(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.find(name);
  if (value == nullptr) return invalid(fmt::format("{} is missing", name));
  return value;
}
Result<std::int64_t> int64_of(const JsonValue& object, std::string_view name) {
  const JsonValue* value = TRY(member(object, name));
  return value->as_int64();
}
Result<std::uint64_t> uint64_of(const JsonValue& object, std::string_view name) {
  const JsonValue* value = TRY(member(object, name));
  return value->as_uint64();
}
Result<Ulid> ulid_of(const JsonValue& value) {
  const std::string text = TRY(value.as_string());
  const auto ulid = parse_ulid(text);
  if (!ulid) return invalid(fmt::format("\"{}\" is not a ULID", text));
  return *ulid;
}

}  // namespace

Result<TierMeta> parse_tier_meta(std::string_view json) {
  const JsonValue document = TRY(parse_json(json));
  const std::int64_t version = TRY(int64_of(document, "version"));
  if (version != kVersion && version != kVersionOfOpenWindows) {
    return invalid(fmt::format("version {}, want {}", version, kVersion));
  }
  TierMeta meta;
  meta.has_closed_windows = version == kVersion;
  const JsonValue* ulid = TRY(member(document, "ulid"));
  meta.ulid = TRY(ulid_of(*ulid));
  const JsonValue* sealed = TRY(member(document, "sealed"));
  meta.sealed = TRY(ulid_of(*sealed));
  meta.resolution.ms = TRY(int64_of(document, "resolution"));
  meta.min_time.ms = TRY(int64_of(document, "minTime"));
  meta.max_time.ms = TRY(int64_of(document, "maxTime"));
  if (meta.max_time <= meta.min_time) return invalid("maxTime is not after minTime");
  if (meta.resolution.ms <= 0) return invalid("resolution is not positive");
  meta.row_count = TRY(uint64_of(document, "rows"));
  meta.series_count = TRY(uint64_of(document, "series"));
  meta.histogram_count = TRY(uint64_of(document, "histograms"));
  if (const JsonValue* orphans = document.find("orphans")) {
    const JsonValue* drop = TRY(member(*orphans, "drop"));
    const std::uint64_t probe = TRY(uint64_of(*orphans, "probe"));
    if (probe > std::numeric_limits<std::uint32_t>::max()) return invalid("probe is no reference");
    meta.orphans = TierOrphans{TRY(ulid_of(*drop)), static_cast<std::uint32_t>(probe)};
  }
  const JsonValue* replaces = TRY(member(document, "replaces"));
  for (const JsonValue& item : replaces->items()) meta.replaces.push_back(TRY(ulid_of(item)));
  return meta;
}

std::string format_tier_meta(const TierMeta& meta) {
  std::string out;
  JsonWriter json(out);
  const std::int64_t version = meta.has_closed_windows ? kVersion : kVersionOfOpenWindows;
  json.begin_object().field("version", version).field("ulid", meta.ulid.to_string());
  json.field("resolution", meta.resolution.ms);
  json.field("minTime", meta.min_time.ms).field("maxTime", meta.max_time.ms);
  json.field("rows", meta.row_count).field("series", meta.series_count);
  json.field("histograms", meta.histogram_count).field("sealed", meta.sealed.to_string());
  if (meta.orphans) {
    json.key("orphans").begin_object().field("drop", meta.orphans->drop.to_string());
    json.field("probe", std::uint64_t{meta.orphans->probe}).end_object();
  }
  json.key("replaces").begin_array();
  for (const Ulid& ulid : meta.replaces) json.value(ulid.to_string());
  json.end_array().end_object();
  return out;
}

Result<std::shared_ptr<const TierBlock>> TierBlock::open(FileSystem& files,
                                                         const std::string& directory) {
  std::shared_ptr<TierBlock> block(new TierBlock());
  const std::string path = join_path(directory, kMetaFileName);
  const std::string json = TRY(read_file(files, path, kFileBytesMax));
  Result<TierMeta> meta = parse_tier_meta(json);
  if (!meta.ok()) return std::move(meta).status().with_prefix(path);
  block->meta_ = std::move(*meta);
  block->index_ = TRY(IndexReader::open(files, join_path(directory, kIndexFileName)));
  block->columns_ = TRY(SealedColumnsReader::open(files, directory));
  block->tombstones_ = TRY(read_tombstones(files, directory));
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    const auto file = TRY(files.open_readable(join_path(directory, entry.name), Access::kRead));
    block->size_bytes_ += file->size();
  }
  return std::shared_ptr<const TierBlock>(std::move(block));
}

std::shared_ptr<const TierBlock> TierBlock::with(Tombstones tombstones) const {
  std::shared_ptr<TierBlock> block(new TierBlock());
  block->meta_ = meta_;
  block->index_ = index_;
  block->columns_ = columns_;
  block->tombstones_ = std::move(tombstones);
  block->size_bytes_ = size_bytes_;
  return block;
}

}  // namespace tarsier::tsdb
