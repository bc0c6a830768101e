#include "tsdb/block/tier_writer.h"

#include <utility>

#include "tsdb/block/block_writer.h"
#include "tsdb/block/sealed_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kHistogramsPerChunk = 120;

void remove_deleted_rows(std::span<const TimeRange> deleted, AggregateRows& rows) {
  AggregateRows kept;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Timestamp t{rows.times_ms[i]};
    if (is_deleted(deleted, {t, t})) continue;
    kept.times_ms.push_back(t.ms);
    for (std::size_t c = 0; c < rows.columns.size(); ++c) {
      kept.columns[c].push_back(rows.columns[c][i]);
    }
  }
  rows = std::move(kept);
}

}  // namespace

TierWriter::TierWriter(FileSystem& files, std::string shelf, TierMeta meta)
    : files_(files),
      shelf_(std::move(shelf)),
      meta_(std::move(meta)),
      temporary_(join_path(shelf_, meta_.ulid.to_string()) + std::string(kCreationSuffix)) {}

TierWriter::~TierWriter() {
  // What cannot be removed now is removed at the next start.
  if (!is_published_) (void)files_.remove_all(temporary_).ok();
}

Result<std::unique_ptr<TierWriter>> TierWriter::create(FileSystem& files, std::string shelf,
                                                       TierMeta meta, SymbolSet symbols) {
  std::unique_ptr<TierWriter> writer(new TierWriter(files, std::move(shelf), std::move(meta)));
  TRY(writer->begin(std::move(symbols)));
  return writer;
}

Status TierWriter::begin(SymbolSet symbols) {
  TRY(files_.create_directories(shelf_));
  const std::string above = parent_path(shelf_);
  TRY(files_.sync_directory(above));
  TRY(files_.sync_directory(parent_path(above)));
  TRY(files_.remove_all(temporary_));
  TRY(files_.create_directories(temporary_));
  columns_ = TRY(SealedColumnsWriter::create(files_, temporary_, ColumnProfile::kSmallest));
  index_ =
      TRY(IndexWriter::create(files_, join_path(temporary_, kIndexFileName), std::move(symbols)));
  return {};
}

Status TierWriter::add_series(const Labels& labels, const AggregateRows& rows,
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

Status TierWriter::copy_series(const TierBlock& from, std::uint32_t ref) {
  const Bytes series = TRY(from.index().verified_series(ref));
  std::vector<LabelView> views;
  TRY(from.index().decode_labels(series, views));
  std::vector<ChunkMeta> metas;
  TRY(from.index().append_chunks(series, TimeRange{}, metas));
  AggregateRows rows;
  SampleColumns none;
  HistogramColumns histograms;
  for (const ChunkMeta& meta : metas) {
    if (TRY(from.columns().read_aggregates(meta.ref, rows))) continue;
    TRY(from.columns().read(meta.ref, {TimeRange{}, none, &histograms}));
  }
  if (const auto deleted = from.tombstones().ranges(ref); !deleted.empty()) {
    remove_deleted_rows(deleted, rows);
    remove_deleted(deleted, 0, histograms);
  }
  std::vector<AnySample> kept;
  for (std::size_t i = 0; i < histograms.size(); ++i) {
    kept.push_back({Timestamp{histograms.times_ms[i]}, histograms.at(i)});
  }
  return add_series(Labels::from_sorted(views), rows, kept);
}

Result<std::shared_ptr<const TierBlock>> TierWriter::publish() {
  TRY(columns_->finish());
  TRY(index_->finish());
  TRY(write_file_atomically(files_, join_path(temporary_, kMetaFileName), format_tier_meta(meta_)));
  TRY(files_.sync_directory(temporary_));
  const std::string directory = join_path(shelf_, meta_.ulid.to_string());
  TRY(files_.rename(temporary_, directory));
  is_published_ = true;
  TRY(files_.sync_directory(shelf_));
  return TierBlock::open(files_, directory);
}

}  // namespace tarsier::tsdb
