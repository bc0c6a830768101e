#include "tsdb/ship/thanos_meta.h"

#include <algorithm>

#include "base/json_writer.h"
#include "base/rfc3339.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kChunks = "chunks/";
/// Length and checksum around the body of a series entry.
constexpr std::uint64_t kSeriesFrameBytes = 5 + 4;

void write_file(JsonWriter& json, const ThanosFile& file) {
  json.begin_object().field("rel_path", file.path);
  if (file.size > 0) json.field("size_bytes", file.size);
  if (!file.sha256.empty()) {
    json.key("hash").begin_object().field("hashFunc", "SHA256").field("value", file.sha256);
    json.end_object();
  }
  json.end_object();
}

}  // namespace

Result<EntrySizes> measure_entries(const Block& block,
                                   std::span<const std::uint64_t> segment_bytes) {
  EntrySizes sizes;
  std::vector<IndexReader::Ref> refs;
  TRY(block.index().append_all(refs));
  std::vector<ChunkMeta> chunks;
  std::uint64_t before = UINT64_MAX;
  const auto end_chunk = [&](std::uint64_t next) {  // `before` reaches up to `next`.
    if (before == UINT64_MAX) return;
    const std::uint64_t segment = before >> 32;
    const std::uint64_t offset = before & UINT32_MAX;
    std::uint64_t end = segment < segment_bytes.size() ? segment_bytes[segment] : offset;
    if (next >> 32 == segment) end = next & UINT32_MAX;
    if (end > offset) sizes.chunk_bytes = std::max(sizes.chunk_bytes, end - offset);
  };
  for (const IndexReader::Ref ref : refs) {
    const Bytes entry = TRY(block.index().series(ref));
    sizes.series_bytes =
        std::max(sizes.series_bytes, std::uint64_t{entry.size()} + kSeriesFrameBytes);
    chunks.clear();
    TRY(block.index().append_chunks(entry, TimeRange{}, chunks));
    for (const ChunkMeta& chunk : chunks) {
      end_chunk(chunk.ref);
      before = chunk.ref;
    }
  }
  end_chunk(UINT64_MAX);
  return sizes;
}

std::string format_thanos_meta(const BlockMeta& meta, const ThanosSection& section) {
  std::string thanos;
  JsonWriter json(thanos);
  json.begin_object().field("version", 1);
  json.key("labels").begin_object();
  for (const auto& [name, value] : section.labels) json.field(name, value);
  json.end_object();
  json.key("downsample").begin_object().field("resolution", section.resolution_ms).end_object();
  json.field("source", section.source);
  json.key("segment_files").begin_array();
  for (const ThanosFile& file : section.files) {
    if (file.path.starts_with(kChunks)) {
      json.value(std::string_view(file.path).substr(kChunks.size()));
    }
  }
  json.end_array();
  json.key("files").begin_array();
  for (const ThanosFile& file : section.files) write_file(json, file);
  write_file(json, {std::string(kMetaFileName), 0, {}});
  json.end_array();
  json.key("index_stats").begin_object();
  if (section.entries.series_bytes > 0) {
    json.field("series_max_size", section.entries.series_bytes);
  }
  if (section.entries.chunk_bytes > 0) json.field("chunk_max_size", section.entries.chunk_bytes);
  json.end_object();
  json.field("upload_time", format_rfc3339(section.upload_time)).end_object();
  return format_block_meta(meta, thanos);
}

}  // namespace tarsier::tsdb
