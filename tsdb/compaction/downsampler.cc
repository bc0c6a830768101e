#include "tsdb/compaction/downsampler.h"

#include <algorithm>

#include "tsdb/block/block_writer.h"
#include "tsdb/block/sealed_writer.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/index/index_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCancelStride = 256;
constexpr std::size_t kHistogramsPerChunk = 120;

std::int64_t window_of(std::int64_t t, Duration resolution) {
  const std::int64_t number = t / resolution.ms;
  return t % resolution.ms < 0 ? number - 1 : number;
}

/// The last histogram of every window: its counts are those of all before it.
std::vector<AnySample> last_of_windows(const HistogramColumns& histograms, Duration resolution) {
  std::vector<AnySample> kept;
  for (std::size_t i = 0; i < histograms.size(); ++i) {
    const std::int64_t t = histograms.times_ms[i];
    const bool is_last =
        i + 1 == histograms.size() ||
        window_of(histograms.times_ms[i + 1], resolution) != window_of(t, resolution);
    if (is_last) kept.push_back({Timestamp{t}, histograms.at(i)});
  }
  return kept;
}

/// Writes one downsampled block under a temporary name.
class TierWriter final {
 public:
  TierWriter(FileSystem& files, TierSet& tiers, TierMeta meta)
      : files_(files),
        tiers_(tiers),
        meta_(std::move(meta)),
        temporary_(tiers.directory_of(meta_.ulid) + std::string(kCreationSuffix)) {}
  ~TierWriter() {
    // What cannot be removed now is removed at the next start.
    if (!is_published_) (void)files_.remove_all(temporary_).ok();
  }

  Status begin(SymbolSet symbols) {
    TRY(files_.create_directories(tiers_.directory()));
    const std::string above = parent_path(tiers_.directory());
    TRY(files_.sync_directory(above));
    TRY(files_.sync_directory(parent_path(above)));
    TRY(files_.remove_all(temporary_));
    TRY(files_.create_directories(temporary_));
    columns_ = TRY(SealedColumnsWriter::create(files_, temporary_, ColumnProfile::kSmallest));
    index_ =
        TRY(IndexWriter::create(files_, join_path(temporary_, kIndexFileName), std::move(symbols)));
    return {};
  }

  Status add_series(const Labels& labels, const AggregateRows& rows,
                    std::span<const AnySample> histograms) {
    metas_.clear();
    // Vectors of all series end together where their windows do.
    const VectorWindows windows{Timestamp{0}, Duration{meta_.resolution.ms * 1000}};
    std::size_t begin = 0;
    for (const std::size_t end : cut_vectors(rows.times_ms, windows)) {
      const std::uint64_t ref = TRY(columns_->append_aggregates(rows, begin, end - begin));
      metas_.push_back({Timestamp{rows.times_ms[begin]}, Timestamp{rows.times_ms[end - 1]}, ref});
      begin = end;
    }
    Status outcome;
    encode_any_samples(histograms, kHistogramsPerChunk,
                       [&](Timestamp min_time, Timestamp max_time, const Chunk& chunk) {
                         const StoredChunk stored{{min_time, max_time, 0}, chunk};
                         const auto ref = columns_->append_chunks({&stored, 1});
                         if (!ref.ok()) outcome = ref.status();
                         if (ref.ok()) metas_.push_back({min_time, max_time, *ref});
                       });
    TRY(std::move(outcome));
    if (metas_.empty()) return {};
    TRY(index_->add_series(labels, metas_));
    meta_.row_count += rows.size();
    meta_.histogram_count += histograms.size();
    ++meta_.series_count;
    return {};
  }

  Result<std::shared_ptr<const TierBlock>> publish() {
    TRY(columns_->finish());
    TRY(index_->finish());
    TRY(write_file_atomically(files_, join_path(temporary_, kMetaFileName),
                              format_tier_meta(meta_)));
    TRY(files_.sync_directory(temporary_));
    const std::string directory = tiers_.directory_of(meta_.ulid);
    TRY(files_.rename(temporary_, directory));
    is_published_ = true;
    TRY(files_.sync_directory(tiers_.directory()));
    return TierBlock::open(files_, directory);
  }

 private:
  FileSystem& files_;
  TierSet& tiers_;
  TierMeta meta_;
  const std::string temporary_;
  std::unique_ptr<SealedColumnsWriter> columns_;
  std::unique_ptr<IndexWriter> index_;
  std::vector<ChunkMeta> metas_;
  bool is_published_ = false;
};

}  // namespace

Downsampler::Downsampler(FileSystem& files, std::vector<Duration> resolutions, SealedSet& sealed,
                         TierSet& tiers, Logger& log)
    : files_(files),
      resolutions_(std::move(resolutions)),
      sealed_(sealed),
      tiers_(tiers),
      log_(log) {}

bool Downsampler::has_tier(const SealedBlock& block, Duration resolution) const {
  const auto list = tiers_.blocks();
  return std::any_of(list->begin(), list->end(), [&](const auto& tier) {
    return tier->meta().sealed == block.meta().ulid && tier->meta().resolution == resolution;
  });
}

bool Downsampler::is_downsampled(const SealedBlock& block) const {
  return std::all_of(resolutions_.begin(), resolutions_.end(),
                     [&](Duration resolution) { return has_tier(block, resolution); });
}

Result<bool> Downsampler::run_due(const std::function<Ulid()>& next_ulid) {
  TRY(tiers_.reload());
  const auto list = sealed_.blocks();
  for (const auto& block : *list) {
    for (const Duration resolution : resolutions_) {
      if (cancel_.is_cancelled()) return cancelled("downsampling was cancelled");
      if (has_tier(*block, resolution)) continue;
      TRY(make(block, resolution, next_ulid()));
      return true;
    }
  }
  return false;
}

Status Downsampler::make(const std::shared_ptr<const SealedBlock>& block, Duration resolution,
                         const Ulid& ulid) {
  TierMeta meta;
  meta.ulid = ulid;
  meta.resolution = resolution;
  meta.min_time = block->meta().min_time;
  meta.max_time = block->meta().max_time;
  meta.sealed = block->meta().ulid;
  const auto tiers = tiers_.blocks();
  for (const auto& tier : *tiers) {
    const bool is_within =
        meta.min_time <= tier->meta().min_time && tier->meta().max_time <= meta.max_time;
    if (tier->meta().resolution == resolution && is_within) {
      meta.replaces.push_back(tier->meta().ulid);
    }
  }
  SymbolSet symbols;
  const SymbolTable& table = block->index().symbols();
  for (std::size_t i = 0; i < table.size(); ++i) symbols.add(table.by_ordinal(i));
  TierWriter writer(files_, tiers_, std::move(meta));
  TRY(writer.begin(std::move(symbols)));
  const auto querier = make_sealed_querier(block, TimeRange{});
  const auto set = TRY(querier->select({}, {}, &cancel_));
  SampleColumns floats;
  HistogramColumns histograms;
  AggregateRows rows;
  for (std::size_t i = 0; i < set->size(); ++i) {
    if (i % kCancelStride == 0 && cancel_.is_cancelled()) {
      return cancelled("downsampling was cancelled");
    }
    floats.clear();
    histograms = {};
    rows.clear();
    TRY(set->read_mixed(i, TimeRange{}, floats, histograms));
    // A series of both kinds keeps its histograms: rows and chunks of one series do not mix.
    std::vector<AnySample> kept = last_of_windows(histograms, resolution);
    if (kept.empty()) aggregate_samples(floats, resolution, rows);
    TRY(writer.add_series(set->labels(i), rows, kept));
  }
  auto made = TRY(writer.publish());
  log_.info("Block downsampled", {{"ulid", ulid.to_string()},
                                  {"sealed", block->meta().ulid.to_string()},
                                  {"resolution_ms", std::to_string(resolution.ms)},
                                  {"rows", std::to_string(made->meta().row_count)},
                                  {"bytes", std::to_string(made->size_bytes())}});
  return tiers_.add(std::move(made));
}

}  // namespace tarsier::tsdb
