#include "tsdb/block/block_writer.h"

#include <algorithm>

#include "base/check.h"
#include "tsdb/chunk/histogram_iterator.h"

namespace tarsier::tsdb {
BlockWriter::BlockWriter(FileSystem& files, std::string data_directory, BlockMeta meta)
    : files_(files),
      data_directory_(std::move(data_directory)),
      temporary_(join_path(data_directory_, meta.ulid.to_string()) + std::string(kCreationSuffix)),
      meta_(std::move(meta)) {}

BlockWriter::~BlockWriter() {
  // What cannot be removed now is removed at the next start.
  if (!published_) (void)files_.remove_all(temporary_).ok();
}

Result<std::unique_ptr<BlockWriter>> BlockWriter::create(FileSystem& files,
                                                         const std::string& data_directory,
                                                         BlockMeta meta, SymbolSet symbols,
                                                         std::uint64_t segment_bytes_max) {
  CHECK(meta.min_time < meta.max_time);
  std::unique_ptr<BlockWriter> writer(new BlockWriter(files, data_directory, std::move(meta)));
  TRY(files.remove_all(writer->temporary_));
  TRY(files.create_directories(writer->temporary_));
  writer->chunks_ = TRY(ChunkFilesWriter::create(files, writer->temporary_, segment_bytes_max));
  writer->index_ = TRY(IndexWriter::create(files, join_path(writer->temporary_, kIndexFileName),
                                           std::move(symbols)));
  return writer;
}

void BlockWriter::extend_to(Timestamp max_time) {
  meta_.max_time = std::max(meta_.max_time, max_time);
}

Status BlockWriter::add_series(const Labels& labels, std::span<const EncodedChunk> chunks,
                               std::span<const TimeRange> deleted) {
  CHECK(!chunks.empty());
  CHECK(meta_.min_time <= chunks.front().min_time && chunks.back().max_time < meta_.max_time,
        "a chunk is outside the time of its block");
  chunk_metas_.clear();
  for (const EncodedChunk& chunk : chunks) {
    const std::uint64_t ref = TRY(chunks_->append(chunk.chunk));
    chunk_metas_.push_back({chunk.min_time, chunk.max_time, ref});
    const std::uint64_t samples = chunk_sample_count(chunk.chunk.encoding, chunk.chunk.data);
    meta_.sample_count += samples;
    (is_float_encoding(chunk.chunk.encoding) ? meta_.float_sample_count
                                             : meta_.histogram_sample_count) += samples;
  }
  const std::uint32_t ref = TRY(index_->add_series(labels, chunk_metas_));
  const TimeRange held{chunks.front().min_time, chunks.back().max_time};
  for (const TimeRange& gone : deleted) {
    if (!gone.overlaps(held)) continue;
    tombstones_.add(ref, {std::max(gone.min, held.min), std::min(gone.max, held.max)});
  }
  ++meta_.series_count;
  meta_.chunk_count += chunks.size();
  return {};
}

Result<std::optional<BlockMeta>> BlockWriter::finish() {
  if (meta_.series_count == 0) return std::optional<BlockMeta>();
  TRY(publish());
  return std::optional(meta_);
}

Status BlockWriter::publish() {
  meta_.tombstone_count = tombstones_.range_count();
  TRY(chunks_->finish());
  TRY(index_->finish());
  TRY(write_file_atomically(files_, join_path(temporary_, kTombstonesFileName),
                            tombstones_.encode()));
  TRY(write_file_atomically(files_, join_path(temporary_, kMetaFileName),
                            format_block_meta(meta_)));
  TRY(files_.sync_directory(temporary_));
  TRY(files_.rename(temporary_, join_path(data_directory_, meta_.ulid.to_string())));
  published_ = true;
  return files_.sync_directory(data_directory_);
}

}  // namespace tarsier::tsdb
