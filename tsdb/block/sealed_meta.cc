#include "tsdb/block/sealed_meta.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/json_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::uint64_t kFileBytesMax = 64 << 20;

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

Result<Ulid> read_ulid(const JsonValue& value) {
  const std::string text = TRY(value.as_string());
  const auto ulid = parse_ulid(text);
  if (!ulid) return invalid(fmt::format("\"{}\" is not a ULID", text));
  return *ulid;
}

}  // namespace

bool SealedMeta::has_source(const Ulid& wanted) const {
  return std::any_of(sources.begin(), sources.end(), [&](const SealedSource& source) {
    const auto& parents = source.meta.parents;
    return source.meta.ulid == wanted ||
           std::any_of(parents.begin(), parents.end(),
                       [&](const BlockParent& parent) { return parent.ulid == wanted; });
  });
}

Result<SealedMeta> parse_sealed_meta(std::string_view json) {
  const JsonValue document = TRY(parse_json(json));
  const std::int64_t version = TRY(int64_of(document, "version"));
  if (version != kVersion) return invalid(fmt::format("version {}, want {}", version, kVersion));
  SealedMeta meta;
  const JsonValue* ulid = TRY(member(document, "ulid"));
  meta.ulid = TRY(read_ulid(*ulid));
  meta.min_time.ms = TRY(int64_of(document, "minTime"));
  meta.max_time.ms = TRY(int64_of(document, "maxTime"));
  if (meta.max_time <= meta.min_time) return invalid("maxTime is not after minTime");
  meta.sample_count = TRY(uint64_of(document, "samples"));
  meta.histogram_sample_count = TRY(uint64_of(document, "histogramSamples"));
  meta.series_count = TRY(uint64_of(document, "series"));
  const JsonValue* replaces = TRY(member(document, "replaces"));
  for (const JsonValue& item : replaces->items()) meta.replaces.push_back(TRY(read_ulid(item)));
  const JsonValue* sources = TRY(member(document, "sources"));
  for (const JsonValue& item : sources->items()) {
    SealedSource& source = meta.sources.emplace_back();
    source.segment_bytes_max = TRY(uint64_of(item, "segmentBytesMax"));
    const JsonValue* text = TRY(member(item, "meta"));
    source.meta_json = TRY(text->as_string());
    source.meta = TRY(parse_block_meta(source.meta_json));
  }
  return meta;
}

std::string format_sealed_meta(const SealedMeta& meta) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("version", kVersion).field("ulid", meta.ulid.to_string());
  json.field("minTime", meta.min_time.ms).field("maxTime", meta.max_time.ms);
  json.field("samples", meta.sample_count);
  json.field("histogramSamples", meta.histogram_sample_count);
  json.field("series", meta.series_count);
  json.key("replaces").begin_array();
  for (const Ulid& ulid : meta.replaces) json.value(ulid.to_string());
  json.end_array();
  json.key("sources").begin_array();
  for (const SealedSource& source : meta.sources) {
    json.begin_object().field("segmentBytesMax", source.segment_bytes_max);
    json.field("meta", source.meta_json).end_object();
  }
  json.end_array().end_object();
  return out;
}

Result<SealedMeta> read_sealed_meta(FileSystem& files, const std::string& directory) {
  const std::string path = join_path(directory, kMetaFileName);
  const std::string json = TRY(read_file(files, path, kFileBytesMax));
  Result<SealedMeta> meta = parse_sealed_meta(json);
  if (!meta.ok()) return std::move(meta).status().with_prefix(path);
  return meta;
}

}  // namespace tarsier::tsdb
