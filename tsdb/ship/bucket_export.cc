#include "tsdb/ship/bucket_export.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/sha256.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/compaction/thanos_downsampler.h"
#include "tsdb/ship/thanos_meta.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint64_t kSegmentBytes = std::uint64_t{512} << 20;
constexpr std::string_view kSourceOfDownsampled = "compactor";

/// The same for the same block and resolution, so that an export that is repeated finds it.
Ulid name_of(const Ulid& source, Duration resolution) {
  const std::string text = fmt::format("{}@{}", source.to_string(), resolution.ms);
  const Sha256 digest = sha256(as_bytes(text));
  std::array<std::byte, 10> entropy{};
  std::copy_n(digest.begin(), entropy.size(), entropy.begin());
  return make_ulid(source.created(), entropy);
}

/// The float samples of a series, in the runs between which it had histograms.
class Runs final {
 public:
  /// As Thanos reads: stale markers and what goes back in time are passed over.
  Status add(const Chunk& chunk, std::span<const TimeRange> deleted) {
    if (!is_float_encoding(chunk.encoding)) {
      has_histograms_ = true;
      if (!runs_.empty() && !runs_.back().empty()) runs_.emplace_back();
      return {};
    }
    columns_.clear();
    TRY(decode_float_chunk(chunk.encoding, chunk.data, TimeRange{}, columns_));
    if (runs_.empty()) runs_.emplace_back();
    std::int64_t newest = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Timestamp t{columns_.times_ms[i]};
      const auto has = [t](const TimeRange& range) { return range.min <= t && t <= range.max; };
      if (is_stale_marker(columns_.values[i]) || t.ms < newest) continue;
      if (std::any_of(deleted.begin(), deleted.end(), has)) continue;
      runs_.back().push_back({t, columns_.values[i]});
      newest = t.ms;
    }
    return {};
  }
  void clear() {
    runs_.clear();
    has_histograms_ = false;
  }
  bool has_histograms() const { return has_histograms_; }
  const std::vector<std::vector<Sample>>& all() const { return runs_; }

 private:
  SampleColumns columns_;
  std::vector<std::vector<Sample>> runs_;
  bool has_histograms_ = false;
};

/// A downsampled block being written, under a temporary name.
class Output final {
 public:
  static Result<std::unique_ptr<Output>> create(FileSystem& files, const ChunkSource& source,
                                                const std::string& target, Duration resolution) {
    std::unique_ptr<Output> out(new Output(files, target, source.meta(), resolution));
    TRY(files.remove_all(out->workshop_));
    TRY(files.create_directories(out->temporary_));
    SymbolSet symbols;
    source.add_symbols(symbols);
    out->chunks_ = TRY(ChunkFilesWriter::create(files, out->temporary_, kSegmentBytes));
    out->index_ = TRY(
        IndexWriter::create(files, join_path(out->temporary_, kIndexFileName), std::move(symbols)));
    return out;
  }

  Duration resolution() const { return resolution_; }

  Status add_series(const Labels& labels, std::span<const AggregateChunk> chunks) {
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

  /// Publishes it, unless there is nothing in it.
  Status finish(const ExternalLabels& labels, Timestamp now) {
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

 private:
  Output(FileSystem& files, std::string target, const BlockMeta& source, Duration resolution)
      : files_(files), target_(std::move(target)), resolution_(resolution) {
    // Whoever decides what is still to be downsampled looks at the sources.
    meta_.ulid = name_of(source.ulid, resolution);
    meta_.min_time = source.min_time;
    meta_.max_time = source.max_time;
    meta_.compaction_level = source.compaction_level;
    meta_.sources = source.sources;
    meta_.parents = source.parents;
    directory_ = join_path(target_, meta_.ulid.to_string());
    workshop_ = directory_ + std::string(kCreationSuffix);
    temporary_ = join_path(workshop_, meta_.ulid.to_string());  // A block is opened by its name.
  }

  FileSystem& files_;
  const std::string target_;
  const Duration resolution_;
  BlockMeta meta_;
  std::string directory_;
  std::string workshop_;
  std::string temporary_;
  std::unique_ptr<ChunkFilesWriter> chunks_;
  std::unique_ptr<IndexWriter> index_;
  std::vector<ChunkMeta> metas_;
};

}  // namespace

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

Status export_downsampled(FileSystem& files, ChunkSource& source, const DownsampledExport& request,
                          std::uint64_t& skipped_series) {
  std::vector<std::unique_ptr<Output>> outputs;
  bool is_all_there = true;
  for (const Duration resolution : request.resolutions) {
    const Ulid name = name_of(source.meta().ulid, resolution);
    const std::string directory = join_path(request.target, name.to_string());
    is_all_there = is_all_there && files.exists(join_path(directory, kMetaFileName));
  }
  if (is_all_there) return {};
  for (const Duration resolution : request.resolutions) {
    const Ulid name = name_of(source.meta().ulid, resolution);
    TRY(files.remove_all(join_path(request.target, name.to_string())));
    outputs.push_back(TRY(Output::create(files, source, request.target, resolution)));
  }
  Runs runs;
  std::vector<AggregateChunk> finer;
  std::vector<AggregateChunk> chunks;
  for (TRY(source.start()); !source.done();) {
    runs.clear();
    for (const StoredChunk& chunk : TRY(source.chunks())) {
      TRY(runs.add(chunk.chunk, source.deleted()));
    }
    if (runs.has_histograms()) ++skipped_series;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      chunks.clear();
      if (i == 0) {
        for (const std::vector<Sample>& run : runs.all()) {
          for (AggregateChunk& chunk : downsample_for_thanos(run, outputs[i]->resolution())) {
            chunks.push_back(std::move(chunk));
          }
        }
      } else {
        chunks = downsample_further_for_thanos(finer, outputs[i - 1]->resolution(),
                                               outputs[i]->resolution());
      }
      TRY(outputs[i]->add_series(source.labels(), chunks));
      finer.swap(chunks);
    }
    TRY(source.step());
  }
  for (const auto& output : outputs) TRY(output->finish(request.labels, request.now));
  return {};
}

}  // namespace tarsier::tsdb
