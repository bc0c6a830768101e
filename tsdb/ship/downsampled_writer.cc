#include "tsdb/ship/downsampled_writer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/sha256.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/ship/thanos_meta.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint64_t kSegmentBytes = std::uint64_t{512} << 20;
constexpr std::string_view kSourceOfDownsampled = "compactor";

}  // namespace

Ulid downsampled_name(const Ulid& source, Duration resolution) {
  const std::string text = fmt::format("{}@{}", source.to_string(), resolution.ms);
  const Sha256 digest = sha256(as_bytes(text));
  std::array<std::byte, 10> entropy{};
  std::copy_n(digest.begin(), entropy.size(), entropy.begin());
  return make_ulid(source.created(), entropy);
}

Status describe_for_thanos(FileSystem& files, const std::string& directory,
                           const ExternalLabels& labels, Duration resolution, Timestamp now) {
  const auto block = TRY(Block::open(files, directory));
  ThanosSection section;
  section.labels = labels;
  section.resolution_ms = resolution.ms;
  if (resolution > Duration{}) section.source = kSourceOfDownsampled;
  section.upload_time = now;
  std::vector<std::uint64_t> segment_bytes;
  const auto add = [&](const std::string& path) -> Status {
    const auto file = TRY(files.open_readable(join_path(directory, path), Access::kRead));
    section.files.push_back({path, file->size(), {}});
    return {};
  };
  for (const DirectoryEntry& entry : TRY(files.list(join_path(directory, kChunksDirectoryName)))) {
    TRY(add(join_path(kChunksDirectoryName, entry.name)));
    segment_bytes.push_back(section.files.back().size);
  }
  TRY(add(std::string(kIndexFileName)));
  section.entries = TRY(measure_entries(*block, segment_bytes));
  return write_file_atomically(files, join_path(directory, kMetaFileName),
                               format_thanos_meta(block->meta(), section));
}

DownsampledWriter::DownsampledWriter(FileSystem& files, std::string target, const BlockMeta& source,
                                     Duration resolution)
    : files_(files), target_(std::move(target)), resolution_(resolution) {
  // Whoever decides what is still to be downsampled looks at the sources.
  meta_.ulid = downsampled_name(source.ulid, resolution);
  meta_.min_time = source.min_time;
  meta_.max_time = source.max_time;
  meta_.compaction_level = source.compaction_level;
  meta_.sources = source.sources;
  meta_.parents = source.parents;
  directory_ = join_path(target_, meta_.ulid.to_string());
  workshop_ = directory_ + std::string(kCreationSuffix);
  temporary_ = join_path(workshop_, meta_.ulid.to_string());  // A block is opened by its name.
}

Result<std::unique_ptr<DownsampledWriter>> DownsampledWriter::create(FileSystem& files,
                                                                     const std::string& target,
                                                                     const BlockMeta& meta,
                                                                     SymbolSet symbols,
                                                                     Duration resolution) {
  std::unique_ptr<DownsampledWriter> out(new DownsampledWriter(files, target, meta, resolution));
  TRY(files.remove_all(out->workshop_));
  TRY(files.remove_all(out->directory_));
  TRY(files.create_directories(out->temporary_));
  out->chunks_ = TRY(ChunkFilesWriter::create(files, out->temporary_, kSegmentBytes));
  out->index_ = TRY(
      IndexWriter::create(files, join_path(out->temporary_, kIndexFileName), std::move(symbols)));
  return out;
}

Status DownsampledWriter::add_series(const Labels& labels, std::span<const AggregateChunk> chunks) {
  if (chunks.empty()) return {};
  metas_.clear();
  for (const AggregateChunk& chunk : chunks) {
    const std::string data = encode_aggregate_chunk(chunk);
    const std::uint64_t ref = TRY(chunks_->append({kAggregateEncoding, as_bytes(data)}));
    metas_.push_back({chunk.min_time, chunk.max_time, ref});
    meta_.sample_count += chunk.row_count();
  }
  TRY(index_->add_series(labels, metas_));
  ++meta_.series_count;
  meta_.chunk_count += chunks.size();
  return {};
}

Status DownsampledWriter::finish(const ExternalLabels& labels, Timestamp now) {
  if (meta_.series_count == 0) return files_.remove_all(workshop_);
  TRY(chunks_->finish());
  TRY(index_->finish());
  TRY(write_file_atomically(files_, join_path(temporary_, kTombstonesFileName),
                            Tombstones().encode()));
  TRY(write_file_atomically(files_, join_path(temporary_, kMetaFileName),
                            format_block_meta(meta_)));
  TRY(describe_for_thanos(files_, temporary_, labels, resolution_, now));
  TRY(files_.sync_directory(temporary_));
  TRY(files_.rename(temporary_, directory_));
  TRY(files_.sync_directory(target_));
  return files_.remove_all(workshop_);
}

}  // namespace tarsier::tsdb
