#include "tsdb/compaction/compactor.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/compaction/sample_encoder.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kSamplesPerChunk = 120;
constexpr std::size_t kCancelStride = 256;

TimeRange common(TimeRange a, TimeRange b) {
  return {std::max(a.min, b.min), std::min(a.max, b.max)};
}

/// Walks the series of one input in label order, which is checked: the writer relies on it.
class Cursor final {
 public:
  explicit Cursor(const Block& block) : block_(block) {}

  Status start() {
    TRY(block_.index().append_all(refs_));
    return step_to(0);
  }
  Status step() { return step_to(at_ + 1); }

  bool done() const { return at_ == refs_.size(); }
  const Labels& labels() const { return labels_; }
  std::uint32_t ref() const { return refs_[at_]; }
  Bytes series() const { return series_; }
  const Block& block() const { return block_; }

 private:
  Status step_to(std::size_t position) {
    at_ = position;
    if (done()) return {};
    series_ = TRY(block_.index().series(ref()));
    TRY(block_.index().decode_labels(series_, views_));
    Labels next = Labels::from_sorted(views_);
    if (next <= labels_) {
      return corruption(fmt::format("block {}: series {} is out of order",
                                    block_.meta().ulid.to_string(), next.to_string()));
    }
    labels_ = std::move(next);
    return {};
  }

  const Block& block_;
  std::vector<std::uint32_t> refs_;
  std::size_t at_ = 0;
  Bytes series_;
  std::vector<LabelView> views_;
  Labels labels_;
};

/// The chunks of one series from all inputs, on their way out. Owns their bytes.
class SeriesMerger final {
 public:
  void clear() {
    bytes_.clear();
    pieces_.clear();
    is_after_merge_ = false;
  }

  /// Adds what the cursor's block has of the series.
  Status add(const Cursor& cursor) {
    metas_.clear();
    TRY(cursor.block().index().append_chunks(cursor.series(), TimeRange{}, metas_));
    for (std::span<const ChunkMeta> rest = metas_; !rest.empty();) {
      const std::size_t count = TRY(cursor.block().chunks().read(rest, buffer_));
      for (std::size_t i = 0; i < count; ++i) TRY(add_chunk(cursor, rest[i], buffer_.chunks[i]));
      rest = rest.subspan(count);
    }
    return {};
  }

  /// The finished chunks, in order of time. The view lives until clear.
  Result<std::span<const EncodedChunk>> finish() {
    std::stable_sort(pieces_.begin(), pieces_.end(),
                     [](const Piece& a, const Piece& b) { return a.min_time < b.min_time; });
    std::vector<Piece> sorted;
    sorted.swap(pieces_);
    for (std::size_t begin = 0; begin < sorted.size();) {
      std::size_t end = begin + 1;
      Timestamp max_time = sorted[begin].max_time;
      while (end < sorted.size() && sorted[end].min_time <= max_time) {
        max_time = std::max(max_time, sorted[end++].max_time);
      }
      TRY(merge(std::span(sorted).subspan(begin, end - begin)));
      begin = end;
    }
    chunks_.clear();
    for (const Piece& piece : pieces_) {
      chunks_.push_back({piece.min_time, piece.max_time, {piece.encoding, data_of(piece)}});
    }
    return std::span<const EncodedChunk>(chunks_);
  }

 private:
  /// A chunk whose data is bytes_[begin, begin + size). Its times are what its index says; samples
  /// beyond them are not taken, so what is written never overlaps, whatever was read.
  struct Piece {
    Timestamp min_time;
    Timestamp max_time;
    ChunkEncoding encoding = ChunkEncoding::kXor;
    std::size_t begin = 0;  // Grows with the order of inputs.
    std::size_t size = 0;
  };

  Bytes data_of(const Piece& piece) const {
    return as_bytes(bytes_).subspan(piece.begin, piece.size);
  }

  void keep(Timestamp min_time, Timestamp max_time, const Chunk& chunk) {
    pieces_.push_back({min_time, max_time, chunk.encoding, bytes_.size(), chunk.data.size()});
    bytes_ += as_text(chunk.data);
  }

  Status add_chunk(const Cursor& cursor, const ChunkMeta& meta, const Chunk& chunk) {
    if (!is_known_encoding(chunk.encoding) || chunk.data.size() < kXorHeaderBytes) {
      return invalid(fmt::format("block {}, chunk {:x}: encoding {} cannot be compacted",
                                 cursor.block().meta().ulid.to_string(), meta.ref,
                                 static_cast<unsigned>(chunk.encoding)));
    }
    const TimeRange range = cursor.block().range();
    const std::span<const TimeRange> deleted = cursor.block().tombstones().ranges(cursor.ref());
    bool is_touched = meta.min_time < range.min || meta.max_time > range.max;
    for (const TimeRange& gone : deleted) {
      if (gone.min <= meta.min_time && meta.max_time <= gone.max) return {};  // Nothing left.
      is_touched |= gone.overlaps(meta.range());
    }
    if (!is_touched) {
      keep(meta.min_time, meta.max_time, chunk);
      return {};
    }
    samples_.clear();
    TRY(decode_any_chunk(chunk, common(range, meta.range()), HeaderReset::kKept, samples_));
    std::erase_if(samples_, [&](const AnySample& sample) {
      return std::any_of(deleted.begin(), deleted.end(),
                         [&](const TimeRange& gone) { return gone.contains(sample.t); });
    });
    encode(samples_, kChunkSamplesMax);
    return {};
  }

  /// One run of chunks that overlap (usually a single one), into pieces_.
  Status merge(std::span<Piece> run) {
    const bool all_same = std::all_of(run.begin(), run.end(), [&](const Piece& piece) {
      return piece.min_time == run[0].min_time && piece.max_time == run[0].max_time &&
             piece.encoding == run[0].encoding &&
             std::ranges::equal(data_of(piece), data_of(run[0]));
    });
    if (all_same) {
      if (std::exchange(is_after_merge_, false)) forget_predecessor(run[0]);
      pieces_.push_back(run[0]);
      return {};
    }
    std::sort(run.begin(), run.end(),
              [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
    merged_.clear();
    for (const Piece& piece : run) {
      samples_.clear();
      TRY(decode_any_chunk({piece.encoding, data_of(piece)}, {piece.min_time, piece.max_time},
                           HeaderReset::kForgotten, samples_));
      merge_any_samples(merged_, samples_);
    }
    encode(merged_, kSamplesPerChunk);
    is_after_merge_ = true;
    return {};
  }

  /// What was before the chunk may be another sample now: it must not say "no reset".
  void forget_predecessor(const Piece& piece) {
    const bool has_header = piece.encoding == ChunkEncoding::kHistogram ||
                            piece.encoding == ChunkEncoding::kFloatHistogram;
    if (!has_header || piece.size < kHistogramHeaderBytes) return;
    char& flags = bytes_[piece.begin + kHistogramHeaderBytes - 1];
    const auto header = static_cast<ChunkResetHeader>(static_cast<unsigned char>(flags) >> 6);
    if (header == ChunkResetHeader::kNotReset) flags = '\0';
  }

  void encode(std::span<const AnySample> samples, std::size_t samples_max) {
    encode_any_samples(samples, samples_max,
                       [this](Timestamp min_time, Timestamp max_time, const Chunk& chunk) {
                         keep(min_time, max_time, chunk);
                       });
  }

  std::string bytes_;
  std::vector<Piece> pieces_;
  std::vector<EncodedChunk> chunks_;
  std::vector<ChunkMeta> metas_;
  ChunkBuffer buffer_;
  std::vector<AnySample> samples_;
  std::vector<AnySample> merged_;
  bool is_after_merge_ = false;  // The newest of pieces_ was made by merge.
};

BlockMeta merged_meta(const BlockList& inputs, const Ulid& ulid) {
  BlockMeta meta;
  meta.ulid = ulid;
  meta.min_time = kMaxTimestamp;
  meta.max_time = kMinTimestamp;
  meta.compaction_level = 0;
  bool all_out_of_order = true;
  for (const auto& input : inputs) {
    const BlockMeta& from = input->meta();
    meta.min_time = std::min(meta.min_time, from.min_time);
    meta.max_time = std::max(meta.max_time, from.max_time);
    meta.compaction_level = std::max(meta.compaction_level, from.compaction_level);
    meta.sources.insert(meta.sources.end(), from.sources.begin(), from.sources.end());
    meta.parents.push_back({from.ulid, from.min_time, from.max_time});
    all_out_of_order &= from.has_hint(kHintOutOfOrder);
    for (const std::string& hint : from.hints) {
      if (hint != kHintOutOfOrder && !meta.has_hint(hint)) meta.hints.push_back(hint);
    }
  }
  ++meta.compaction_level;
  std::sort(meta.sources.begin(), meta.sources.end());
  meta.sources.erase(std::unique(meta.sources.begin(), meta.sources.end()), meta.sources.end());
  if (all_out_of_order) meta.hints.emplace_back(kHintOutOfOrder);
  std::sort(meta.hints.begin(), meta.hints.end());
  return meta;
}

}  // namespace

Result<std::optional<BlockMeta>> compact_blocks(FileSystem& files,
                                                const std::string& data_directory,
                                                const BlockList& inputs, const Ulid& ulid,
                                                std::uint64_t segment_bytes_max,
                                                const CancelToken* cancel) {
  CHECK(!inputs.empty());
  SymbolSet symbols;
  std::vector<Cursor> cursors;
  cursors.reserve(inputs.size());
  for (const auto& input : inputs) {
    const SymbolTable& table = input->index().symbols();
    for (std::size_t i = 0; i < table.size(); ++i) symbols.add(table.by_ordinal(i));
    cursors.emplace_back(*input);
    TRY(cursors.back().start());
    if (input->meta().min_time >= input->meta().max_time) {
      return invalid(fmt::format("block {} covers no time", input->meta().ulid.to_string()));
    }
  }
  auto writer = TRY(BlockWriter::create(files, data_directory, merged_meta(inputs, ulid),
                                        std::move(symbols), segment_bytes_max));
  SeriesMerger merger;
  for (std::size_t series_count = 0;; ++series_count) {
    if (series_count % kCancelStride == 0 && cancel != nullptr && cancel->is_cancelled()) {
      return cancelled("compaction was cancelled");
    }
    const Labels* least = nullptr;  // Inputs are few: a linear search is as good as a heap.
    for (const Cursor& cursor : cursors) {
      if (!cursor.done() && (least == nullptr || cursor.labels() < *least)) {
        least = &cursor.labels();
      }
    }
    if (least == nullptr) break;
    const Labels labels = *least;
    merger.clear();
    for (Cursor& cursor : cursors) {
      if (cursor.done() || cursor.labels() != labels) continue;
      TRY(merger.add(cursor));
      TRY(cursor.step());
    }
    const auto chunks = TRY(merger.finish());
    if (!chunks.empty()) TRY(writer->add_series(labels, chunks));
  }
  return writer->finish();
}

}  // namespace tarsier::tsdb
