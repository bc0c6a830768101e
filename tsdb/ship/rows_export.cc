#include <algorithm>
#include <span>

#include "tsdb/block/aggregate_rows.h"
#include "tsdb/ship/bucket_export.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kRowsPerChunk = 140;
constexpr int kLevel = 2;  // Level 1 is what a server ships itself.

/// What a counter gains on the way, a fall being a reset.
double gain(double from, double to) { return to < from ? to : to - from; }

/// Chunks of rows [begin, end). Rows without a sample are stale markers, which Thanos drops.
class Chunks final {
 public:
  void clear() {
    chunks_.clear();
    has_last_ = false;
  }
  const std::vector<AggregateChunk>& all() const { return chunks_; }

  void add(const AggregateRows& rows, std::span<const TimeRange> deleted) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Timestamp t{rows.times_ms[i]};
      const auto has = [t](const TimeRange& range) { return range.min <= t && t <= range.max; };
      if (at(rows, AggregateRows::kCount, i) == 0 ||
          std::any_of(deleted.begin(), deleted.end(), has)) {
        continue;
      }
      add_row(rows, i, t);
    }
  }
  /// The last value as it was ends the counter of every chunk.
  void finish_chunk() {
    if (chunks_.empty() || !has_last_) return;
    AggregateChunk& chunk = chunks_.back();
    chunk.entries[AggregateChunk::kCounter].push_back({chunk.max_time, last_});
  }

 private:
  static double at(const AggregateRows& rows, AggregateRows::Column column, std::size_t i) {
    return rows.columns[column][i];
  }

  void add_row(const AggregateRows& rows, std::size_t i, Timestamp t) {
    const double last = at(rows, AggregateRows::kLast, i);
    const double peak = at(rows, AggregateRows::kPeak, i);
    const bool begins = chunks_.empty() || chunks_.back().row_count() >= kRowsPerChunk;
    if (begins) begin_chunk(t, peak != 0 ? peak : last);
    AggregateChunk& chunk = chunks_.back();
    if (begins) {
      if (peak != 0) total_ += gain(peak, last);
    } else {
      total_ += peak != 0 ? gain(last_, peak) + gain(peak, last) : gain(last_, last);
    }
    chunk.max_time = t;
    chunk.entries[AggregateChunk::kCount].push_back({t, at(rows, AggregateRows::kCount, i)});
    chunk.entries[AggregateChunk::kSum].push_back({t, at(rows, AggregateRows::kSum, i)});
    chunk.entries[AggregateChunk::kMin].push_back({t, at(rows, AggregateRows::kMin, i)});
    chunk.entries[AggregateChunk::kMax].push_back({t, at(rows, AggregateRows::kMax, i)});
    chunk.entries[AggregateChunk::kCounter].push_back({t, total_});
    last_ = last;
    has_last_ = true;
  }

  /// The counter's first sample tells the reader where it stood after the chunk before: a little
  /// before the row, as long as that is after the row before.
  void begin_chunk(Timestamp t, double first) {
    finish_chunk();
    const bool is_free = chunks_.empty() || chunks_.back().max_time < t - milliseconds(1);
    AggregateChunk& chunk = chunks_.emplace_back();
    chunk.min_time = t;
    chunk.max_time = t;
    chunk.entries[AggregateChunk::kCounter].push_back({is_free ? t - milliseconds(1) : t, first});
    total_ = first;
  }

  std::vector<AggregateChunk> chunks_;
  bool has_last_ = false;
  double last_ = 0;
  double total_ = 0;
};

}  // namespace

Status export_rows(FileSystem& files, const TierBlock& rows, const DownsampledExport& request,
                   std::uint64_t& skipped_series) {
  const TierMeta& tier = rows.meta();
  BlockMeta meta;
  meta.ulid = tier.ulid;
  meta.min_time = tier.min_time;
  meta.max_time = tier.max_time;
  meta.compaction_level = kLevel;
  meta.sources = {tier.sealed};  // All resolutions of it: what is done is known by it.
  const std::string name = downsampled_name(tier.ulid, tier.resolution).to_string();
  if (files.exists(join_path(join_path(request.target, name), kMetaFileName))) return {};
  SymbolSet symbols;
  const SymbolTable& table = rows.index().symbols();
  for (std::size_t i = 0; i < table.size(); ++i) symbols.add(table.by_ordinal(i));
  const auto writer = TRY(
      DownsampledWriter::create(files, request.target, meta, std::move(symbols), tier.resolution));
  std::vector<IndexReader::Ref> refs;
  TRY(rows.index().append_all(refs));
  std::vector<LabelView> labels;
  std::vector<ChunkMeta> records;
  AggregateRows read;
  Chunks chunks;
  for (const IndexReader::Ref ref : refs) {
    const Bytes series = TRY(rows.index().series(ref));
    TRY(rows.index().decode_labels(series, labels));
    records.clear();
    TRY(rows.index().append_chunks(series, TimeRange{}, records));
    chunks.clear();
    bool has_histograms = false;
    for (const ChunkMeta& record : records) {
      read.clear();
      if (!TRY(rows.columns().read_aggregates(record.ref, read))) {
        has_histograms = true;
        continue;
      }
      chunks.add(read, rows.tombstones().ranges(ref));
    }
    chunks.finish_chunk();
    if (has_histograms) ++skipped_series;
    TRY(writer->add_series(Labels::from_sorted(labels), chunks.all()));
  }
  return writer->finish(request.labels, request.now);
}

}  // namespace tarsier::tsdb
