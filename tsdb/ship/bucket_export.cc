#include "tsdb/ship/bucket_export.h"

#include <algorithm>
#include <memory>
#include <span>

#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/compaction/thanos_downsampler.h"

namespace tarsier::tsdb {
namespace {

bool is_there(FileSystem& files, const DownsampledExport& request, const Ulid& source,
              Duration resolution) {
  const std::string name = downsampled_name(source, resolution).to_string();
  return files.exists(join_path(join_path(request.target, name), kMetaFileName));
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

}  // namespace

Status export_downsampled(FileSystem& files, ChunkSource& source, const DownsampledExport& request,
                          std::uint64_t& skipped_series) {
  std::vector<std::unique_ptr<DownsampledWriter>> outputs;
  bool is_all_there = true;
  for (const Duration resolution : request.resolutions) {
    is_all_there = is_all_there && is_there(files, request, source.meta().ulid, resolution);
  }
  if (is_all_there) return {};
  for (const Duration resolution : request.resolutions) {
    SymbolSet symbols;
    source.add_symbols(symbols);
    outputs.push_back(TRY(DownsampledWriter::create(files, request.target, source.meta(),
                                                    std::move(symbols), resolution)));
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
