#include "tsdb/compaction/seal.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/block/sealed_writer.h"
#include "tsdb/chunk/histogram_iterator.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCancelStride = 256;

Status check_cancelled(const CancelToken* cancel) {
  if (cancel == nullptr || !cancel->is_cancelled()) return {};
  return cancelled("sealing was cancelled");
}

/// How far apart samples usually are: of the first series, whatever they are.
Result<Duration> usual_interval(ChunkSource& source) {
  constexpr std::size_t kSeriesLooked = 500;
  std::vector<std::int64_t> intervals;
  TRY(source.start());
  for (std::size_t i = 0; i < kSeriesLooked && !source.done(); ++i) {
    for (const StoredChunk& chunk : TRY(source.chunks())) {
      const std::size_t count = chunk_sample_count(chunk.chunk.encoding, chunk.chunk.data);
      const std::int64_t length = chunk.meta.max_time.ms - chunk.meta.min_time.ms;
      if (count > 1 && length > 0) {
        intervals.push_back(length / static_cast<std::int64_t>(count - 1));
        break;
      }
    }
    TRY(source.step());
  }
  if (intervals.empty()) return seconds(15);
  const auto middle = intervals.begin() + static_cast<std::ptrdiff_t>(intervals.size() / 2);
  std::nth_element(intervals.begin(), middle, intervals.end());
  return Duration{std::max<std::int64_t>(*middle, 1)};
}

/// As few vectors as the usual series needs, all about as long.
VectorWindows choose_windows(Timestamp begin, Timestamp end, Duration interval) {
  // A little less than a vector takes: scrapes are not exact.
  constexpr std::int64_t kUsualSamples = kVectorSamplesMax - 12;
  const std::int64_t span = std::max<std::int64_t>(1, (end - begin).ms);
  const std::int64_t full = std::max<std::int64_t>(1, (Duration{interval.ms}).ms) * kUsualSamples;
  const std::int64_t count = std::max<std::int64_t>(1, (span + full - 1) / full);
  return {begin, Duration{(span + count - 1) / count}};
}

/// Calls `visit(labels, sources that have the series)` for every series in label order.
template <typename Visit>
Status walk(std::span<const std::unique_ptr<ChunkSource>> sources, const CancelToken* cancel,
            Visit visit) {
  for (const auto& source : sources) TRY(source->start());
  std::vector<SourceChunks> having;
  for (std::size_t n = 0;; ++n) {
    if (n % kCancelStride == 0) TRY(check_cancelled(cancel));
    const Labels* least = nullptr;
    for (const auto& source : sources) {
      if (!source->done() && (least == nullptr || source->labels() < *least)) {
        least = &source->labels();
      }
    }
    if (least == nullptr) return {};
    const Labels labels = *least;
    having.clear();
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sources[i]->done() || sources[i]->labels() != labels) continue;
      having.push_back({i, TRY(sources[i]->chunks()), sources[i]->deleted()});
    }
    TRY(visit(labels, having));
    for (const SourceChunks& source : having) TRY(sources[source.source]->step());
  }
}

Status differs(const ChunkSource& original, const Labels& labels, std::string_view what) {
  return corruption(fmt::format("block {} does not come back from its seal: {}: {}",
                                original.meta().ulid.to_string(), labels.to_string(), what));
}

Status compare_series(ChunkSource& original, ChunkSource& sealed) {
  const Labels& labels = original.labels();
  if (sealed.done() || sealed.labels() != labels) return differs(original, labels, "is missing");
  const auto wanted = TRY(original.chunks());
  const auto got = TRY(sealed.chunks());
  if (wanted.size() != got.size()) return differs(original, labels, "another number of chunks");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].meta != got[i].meta) return differs(original, labels, "another time or place");
    if (wanted[i].chunk.encoding != got[i].chunk.encoding ||
        as_text(wanted[i].chunk.data) != as_text(got[i].chunk.data)) {
      return differs(original, labels, "other bytes");
    }
  }
  return {};
}

/// Lets every source come back and compares.
Status verify(FileSystem& files, const std::string& directory,
              const std::shared_ptr<const SealedBlock>& block,
              std::span<const std::unique_ptr<ChunkSource>> sources, const CancelToken* cancel) {
  for (std::size_t i = 0; i < sources.size(); ++i) {
    ChunkSource& original = *sources[i];
    const auto sealed = TRY(make_sealed_chunk_source(files, directory, block, i));
    TRY(original.start());
    TRY(sealed->start());
    for (std::size_t n = 0; !original.done(); ++n) {
      if (n % kCancelStride == 0) TRY(check_cancelled(cancel));
      TRY(compare_series(original, *sealed));
      TRY(original.step());
      TRY(sealed->step());
    }
    if (!sealed->done()) return differs(original, sealed->labels(), "was not there");
    if (sealed->meta_json() != original.meta_json()) return differs(original, {}, "meta.json");
  }
  return {};
}

/// The directory and the two above it, which are ours to make, so that a power cut leaves them.
Status make_shelf(FileSystem& files, const std::string& directory) {
  TRY(files.create_directories(directory));
  const std::string above = parent_path(directory);
  TRY(files.sync_directory(above));
  return files.sync_directory(parent_path(above));
}

}  // namespace

Result<std::shared_ptr<const SealedBlock>> seal_blocks(
    FileSystem& files, const SealRequest& request,
    std::span<const std::unique_ptr<ChunkSource>> sources, const CancelToken* cancel) {
  CHECK(!sources.empty());
  SealedMeta meta;
  meta.ulid = request.ulid;
  meta.replaces = request.replaces;
  SymbolSet symbols;
  for (const auto& source : sources) {
    meta.sources.push_back({source->meta(), source->meta_json(), 0});
    source->add_symbols(symbols);
  }
  const Duration interval = TRY(usual_interval(*sources.front()));
  const VectorWindows windows =
      choose_windows(sources.front()->meta().min_time, sources.back()->meta().max_time, interval);
  TRY(make_shelf(files, request.sealed_directory));
  auto writer = TRY(SealedBlockWriter::create(files, request.sealed_directory, std::move(meta),
                                              std::move(symbols), windows, request.profile));
  TRY(walk(sources, cancel, [&](const Labels& labels, std::span<const SourceChunks> having) {
    if (request.progress) request.progress();
    return writer->add_series(labels, having);
  }));
  TRY(writer->finish());
  {
    const auto written = TRY(SealedBlock::open(files, writer->temporary_directory()));
    TRY(verify(files, writer->temporary_directory(), written, sources, cancel));
  }
  TRY(writer->publish());
  return SealedBlock::open(files, join_path(request.sealed_directory, request.ulid.to_string()));
}

}  // namespace tarsier::tsdb
