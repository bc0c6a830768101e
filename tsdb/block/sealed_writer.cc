#include "tsdb/block/sealed_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

/// Chunks kept as they are in one record: enough to compress, few enough to read one.
constexpr std::size_t kKeptChunksMax = 32;

/// Where the window `level` doublings wide that holds `t` ends.
std::int64_t window_end(const VectorWindows& windows, std::int64_t t, unsigned level) {
  const std::int64_t distance = std::max<std::int64_t>(0, t - windows.origin.ms);
  const std::int64_t number = (distance / windows.length.ms) >> level;
  const std::int64_t width = windows.length.ms << level;
  return (windows.origin + Duration{width} + Duration{number * width}).ms;
}

}  // namespace

std::vector<std::size_t> cut_vectors(std::span<const std::int64_t> times_ms,
                                     const VectorWindows& windows) {
  CHECK(windows.length.ms > 0);
  constexpr unsigned kLevelMax = 16;
  std::vector<std::size_t> ends;
  for (std::size_t begin = 0; begin < times_ms.size();) {
    std::size_t end = begin;
    for (unsigned level = 0; level <= kLevelMax && end < times_ms.size(); ++level) {
      const auto past =
          std::lower_bound(times_ms.begin() + static_cast<std::ptrdiff_t>(begin), times_ms.end(),
                           window_end(windows, times_ms[begin], level));
      const auto found = static_cast<std::size_t>(past - times_ms.begin());
      if (found - begin > kVectorSamplesMax) break;
      end = found;
    }
    if (end == begin) end = std::min(begin + kVectorSamplesMax, times_ms.size());
    ends.push_back(end);
    begin = end;
  }
  return ends;
}

SealedBlockWriter::SealedBlockWriter(FileSystem& files, std::string sealed_directory,
                                     SealedMeta meta, const VectorWindows& windows)
    : files_(files),
      sealed_directory_(std::move(sealed_directory)),
      temporary_(join_path(sealed_directory_, meta.ulid.to_string()) +
                 std::string(kCreationSuffix)),
      meta_(std::move(meta)),
      windows_(windows),
      origin_(meta_.sources.size()),
      segments_(meta_.sources.size()) {}

SealedBlockWriter::~SealedBlockWriter() {
  // What cannot be removed now is removed at the next start.
  if (!is_published_) (void)files_.remove_all(temporary_).ok();
}

Result<std::unique_ptr<SealedBlockWriter>> SealedBlockWriter::create(
    FileSystem& files, const std::string& sealed_directory, SealedMeta meta, SymbolSet symbols,
    const VectorWindows& windows, ColumnProfile profile) {
  CHECK(!meta.sources.empty());
  meta.min_time = meta.sources.front().meta.min_time;
  meta.max_time = meta.sources.back().meta.max_time;
  meta.sample_count = 0;
  meta.histogram_sample_count = 0;
  meta.series_count = 0;
  Timestamp end = kMinTimestamp;
  for (const SealedSource& source : meta.sources) {
    if (source.meta.min_time < end) return invalid("blocks that overlap cannot be sealed together");
    if (source.meta.max_time <= source.meta.min_time) return invalid("a block covers no time");
    end = source.meta.max_time;
  }
  std::unique_ptr<SealedBlockWriter> writer(
      new SealedBlockWriter(files, sealed_directory, std::move(meta), windows));
  TRY(files.remove_all(writer->temporary_));
  TRY(files.create_directories(writer->temporary_));
  writer->columns_ = TRY(SealedColumnsWriter::create(files, writer->temporary_, profile));
  writer->index_ = TRY(IndexWriter::create(files, join_path(writer->temporary_, kIndexFileName),
                                           std::move(symbols)));
  return writer;
}

Status SealedBlockWriter::add_series(const Labels& labels, std::span<const SourceChunks> sources) {
  metas_.clear();
  Timestamp end = kMinTimestamp;
  std::vector<ChunkOrigin> origins;
  std::size_t next = 0;
  for (std::size_t source = 0; source < meta_.sources.size(); ++source) {
    origins.clear();
    if (next < sources.size() && sources[next].source == source) {
      const BlockMeta& meta = meta_.sources[source].meta;
      for (const StoredChunk& chunk : sources[next].chunks) {
        if (chunk.meta.min_time < meta.min_time || chunk.meta.max_time >= meta.max_time ||
            chunk.meta.max_time < chunk.meta.min_time ||
            (!origins.empty() && chunk.meta.min_time <= end)) {
          return invalid(fmt::format("block {}, chunk {:x}: overlaps another or lies outside",
                                     meta.ulid.to_string(), chunk.meta.ref));
        }
        end = chunk.meta.max_time;
        segments_[source].add(chunk.meta.ref, chunk.chunk.data.size());
        TRY(add_chunk(chunk, origins.emplace_back()));
      }
      ++next;
    }
    origin_.add_series(source, origins);
  }
  TRY(flush_floats());
  TRY(flush_kept());
  const std::uint32_t ref = TRY(index_->add_series(labels, metas_));
  for (const SourceChunks& source : sources) {
    const TimeRange held{source.chunks.front().meta.min_time, source.chunks.back().meta.max_time};
    for (const TimeRange& gone : source.deleted) {
      if (!gone.overlaps(held)) continue;
      tombstones_.add(ref, {std::max(gone.min, held.min), std::min(gone.max, held.max)});
    }
  }
  ++meta_.series_count;
  return {};
}

Status SealedBlockWriter::add_chunk(const StoredChunk& chunk, ChunkOrigin& origin) {
  const std::size_t samples = chunk_sample_count(chunk.chunk.encoding, chunk.chunk.data);
  meta_.sample_count += samples;
  if (!is_float_encoding(chunk.chunk.encoding)) meta_.histogram_sample_count += samples;
  if (take_floats(chunk, origin)) return flush_kept();
  TRY(flush_floats());
  origin = {};
  kept_.push_back(chunk);
  return kept_.size() < kKeptChunksMax ? Status() : flush_kept();
}

/// Whether the chunk is one that its samples give back. They are then among floats_.
bool SealedBlockWriter::take_floats(const StoredChunk& chunk, ChunkOrigin& origin) {
  if (chunk.chunk.encoding != ChunkEncoding::kXor) return false;
  scratch_.clear();
  if (!decode_xor_chunk(chunk.chunk.data, TimeRange{}, scratch_).ok() || scratch_.size() == 0) {
    return false;
  }
  if (scratch_.times_ms.front() != chunk.meta.min_time.ms ||
      scratch_.times_ms.back() != chunk.meta.max_time.ms) {
    return false;
  }
  XorEncoder encoder;
  for (std::size_t i = 0; i < scratch_.size(); ++i) {
    if (i > 0 && scratch_.times_ms[i] <= scratch_.times_ms[i - 1]) return false;
    encoder.append({Timestamp{scratch_.times_ms[i]}, scratch_.values[i]});
  }
  const std::string_view wanted = as_text(chunk.chunk.data);
  const std::string_view made = as_text(encoder.bytes());
  const bool has_surplus =
      wanted.size() == made.size() + 1 && wanted.starts_with(made) && wanted.back() == '\0';
  if (wanted != made && !has_surplus) return false;
  origin = {static_cast<std::uint32_t>(scratch_.size()), has_surplus};
  floats_.times_ms.insert(floats_.times_ms.end(), scratch_.times_ms.begin(),
                          scratch_.times_ms.end());
  floats_.values.insert(floats_.values.end(), scratch_.values.begin(), scratch_.values.end());
  return true;
}

Status SealedBlockWriter::flush_floats() {
  std::size_t begin = 0;
  for (const std::size_t end : cut_vectors(floats_.times_ms, windows_)) {
    const auto times = std::span(floats_.times_ms).subspan(begin, end - begin);
    const auto values = std::span(floats_.values).subspan(begin, end - begin);
    const std::uint64_t ref = TRY(columns_->append_floats(times, values));
    metas_.push_back({Timestamp{times.front()}, Timestamp{times.back()}, ref});
    begin = end;
  }
  floats_.clear();
  return {};
}

Status SealedBlockWriter::flush_kept() {
  if (kept_.empty()) return {};
  // Floats that came behind wait in floats_: what is kept was before them.
  const std::uint64_t ref = TRY(columns_->append_chunks(kept_));
  metas_.push_back({kept_.front().meta.min_time, kept_.back().meta.max_time, ref});
  kept_.clear();
  return {};
}

Status SealedBlockWriter::finish() {
  for (std::size_t source = 0; source < segments_.size(); ++source) {
    const auto bytes_max = segments_[source].bytes_max();
    if (!bytes_max) {
      return invalid(fmt::format("block {}: its segment files end where no writer ends them",
                                 meta_.sources[source].meta.ulid.to_string()));
    }
    meta_.sources[source].segment_bytes_max = *bytes_max;
  }
  TRY(columns_->finish());
  TRY(index_->finish());
  TRY(origin_.write(files_, temporary_));
  TRY(write_file_atomically(files_, join_path(temporary_, kTombstonesFileName),
                            tombstones_.encode()));
  TRY(write_file_atomically(files_, join_path(temporary_, kMetaFileName),
                            format_sealed_meta(meta_)));
  return files_.sync_directory(temporary_);
}

Status SealedBlockWriter::publish() {
  TRY(files_.rename(temporary_, join_path(sealed_directory_, meta_.ulid.to_string())));
  is_published_ = true;
  return files_.sync_directory(sealed_directory_);
}

}  // namespace tarsier::tsdb
