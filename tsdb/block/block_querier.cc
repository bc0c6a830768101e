#include "tsdb/block/block_querier.h"

#include <algorithm>

#include <fmt/format.h>

#include "tsdb/block/index_queries.h"
#include "tsdb/chunk/histogram_iterator.h"

namespace tarsier::tsdb {
namespace {

/// What decoding one series needs; kept per thread, so that reading 100k of them allocates nothing.
struct Scratch {
  std::vector<LabelView> labels;
  std::vector<ChunkMeta> metas;
  ChunkBuffer buffer;
  SampleColumns columns;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

/// References into the index, which lists series in label order; everything else is decoded when
/// asked for. Every entry's checksum and labels were verified when it was selected.
class BlockSeriesSet final : public SeriesSet {
 public:
  BlockSeriesSet(std::shared_ptr<const Block> block, std::vector<std::uint32_t> refs)
      : block_(std::move(block)), refs_(std::move(refs)) {}

  std::size_t size() const override { return refs_.size(); }

  Labels labels(std::size_t i) const override {
    const auto series = block_->index().verified_series(refs_[i]);
    std::vector<LabelView>& views = scratch().labels;
    if (!series.ok() || !block_->index().decode_labels(*series, views).ok()) return {};
    return Labels::from_sorted(views);
  }

  std::string_view label(std::size_t i, std::string_view name) const override {
    const auto symbol = block_->index().name_symbol(name);
    const auto series = block_->index().verified_series(refs_[i]);
    if (!symbol || !series.ok()) return {};
    return block_->index().find_value(*series, *symbol);
  }
  std::strong_ordering compare(std::size_t i, const Labels& other) const override {
    const auto series = block_->index().verified_series(refs_[i]);
    if (!series.ok()) return Labels() <=> other;
    return block_->index().compare_labels(*series, other);
  }
  bool may_have_label(std::string_view name) const override {
    return block_->index().name_symbol(name).has_value();
  }

  Status read(std::size_t i, TimeRange range, SampleColumns& out) const override {
    return read_chunks(i, range, out, nullptr);
  }

  bool may_have_histograms(std::size_t /*i*/) const override {
    // Older writers did not count floats apart: then only the chunks tell.
    return block_->meta().float_sample_count != block_->meta().sample_count;
  }
  bool has_histogram_series() const override { return size() > 0 && may_have_histograms(0); }

  Status read_mixed(std::size_t i, TimeRange range, SampleColumns& floats,
                    HistogramColumns& histograms) const override {
    return read_chunks(i, range, floats, &histograms);
  }

  Result<std::optional<Sample>> last_sample(std::size_t i, TimeRange range) const override {
    TRY(find_chunks(i, range));
    // The newest chunk nearly always has one; only deletions or gaps lead further back.
    for (std::span<const ChunkMeta> rest = scratch().metas; !rest.empty();
         rest = rest.first(rest.size() - 1)) {
      ChunkBuffer& buffer = scratch().buffer;
      SampleColumns& columns = scratch().columns;
      columns.clear();
      TRY(block_->chunks().read(rest.last(1), buffer));
      TRY(decode(i, rest.back(), buffer.chunks[0], {range, columns, nullptr, 0, 0}));
      if (columns.size() == 0) continue;
      return std::optional(Sample{Timestamp{columns.times_ms.back()}, columns.values.back()});
    }
    return std::optional<Sample>();
  }

 private:
  /// Leaves the series' chunks that overlap `range` in `scratch().metas`.
  Status find_chunks(std::size_t i, TimeRange range) const {
    scratch().metas.clear();
    const Bytes series = TRY(block_->index().verified_series(refs_[i]));
    return block_->index().append_chunks(series, range, scratch().metas);
  }

  /// Where samples of one series go. `floats_begin` and `histograms_begin`: what was there before.
  struct Target {
    TimeRange range;
    SampleColumns& floats;
    HistogramColumns* histograms;  // Null: histograms are passed over.
    std::size_t floats_begin;
    std::size_t histograms_begin;
  };

  Status read_chunks(std::size_t i, TimeRange range, SampleColumns& floats,
                     HistogramColumns* histograms) const {
    TRY(find_chunks(i, range));
    const Target target{range, floats, histograms, floats.size(),
                        histograms == nullptr ? 0 : histograms->size()};
    ChunkBuffer& buffer = scratch().buffer;
    for (std::span<const ChunkMeta> rest = scratch().metas; !rest.empty();) {
      const std::size_t count = TRY(block_->chunks().read(rest, buffer));
      for (std::size_t c = 0; c < count; ++c) TRY(decode(i, rest[c], buffer.chunks[c], target));
      rest = rest.subspan(count);
    }
    return {};
  }

  Status decode(std::size_t i, const ChunkMeta& meta, const Chunk& chunk,
                const Target& target) const {
    if (is_float_encoding(chunk.encoding)) {
      const std::size_t begin = target.floats.size();
      Status decoded = decode_float_chunk(chunk.encoding, chunk.data, target.range, target.floats);
      return finish(std::move(decoded), i, meta, target.floats_begin, begin, target.floats);
    }
    if (!is_histogram_encoding(chunk.encoding)) {
      block_->count_skipped_chunk();
      return {};
    }
    if (target.histograms == nullptr) return {};
    HistogramColumns& out = *target.histograms;
    const std::size_t begin = out.size();
    Status decoded = decode_histogram_chunk(chunk.encoding, chunk.data, target.range, out);
    return finish(std::move(decoded), i, meta, target.histograms_begin, begin, out);
  }

  /// Checks what a chunk added from `begin` on to the series' samples, which begin at `first`.
  template <typename Columns>
  Status finish(Status decoded, std::size_t i, const ChunkMeta& meta, std::size_t first,
                std::size_t begin, Columns& out) const {
    if (!decoded.ok()) return in_chunk(std::move(decoded), meta);
    if (begin > first && begin < out.size() && out.times_ms[begin] <= out.times_ms[begin - 1]) {
      return out_of_order(meta);
    }
    if (!block_->tombstones().empty()) {
      remove_deleted(block_->tombstones().ranges(refs_[i]), begin, out);
    }
    return {};
  }

  Status in_chunk(Status status, const ChunkMeta& meta) const {
    return std::move(status).with_prefix(
        fmt::format("block {}, chunk {:x}", block_->meta().ulid.to_string(), meta.ref));
  }
  Status out_of_order(const ChunkMeta& meta) const {
    return corruption(fmt::format("block {}, chunk {:x}: begins before its predecessor ended",
                                  block_->meta().ulid.to_string(), meta.ref));
  }

  const std::shared_ptr<const Block> block_;
  const std::vector<std::uint32_t> refs_;  // Ascending: the order of the file and of labels.
};

class BlockQuerier final : public Querier {
 public:
  BlockQuerier(std::shared_ptr<const Block> block, TimeRange range)
      : block_(std::move(block)), range_(range) {}

  Result<std::unique_ptr<SeriesSet>> select(const std::vector<Matcher>& matchers,
                                            const SelectHints& hints,
                                            const CancelToken* cancel) const override {
    const TimeRange wanted{std::max(range_.min, hints.range.min),
                           std::min(range_.max, hints.range.max)};
    std::vector<std::uint32_t> refs;
    if (wanted.min <= wanted.max && block_->range().overlaps(wanted)) {
      refs = TRY(select_series(block_->index(), block_->tombstones(), wanted, matchers,
                               hints.series_limit, cancel));
    }
    return std::unique_ptr<SeriesSet>(new BlockSeriesSet(block_, std::move(refs)));
  }

  Result<std::vector<std::string>> label_names(
      const std::vector<Matcher>& matchers) const override {
    if (!block_->range().overlaps(range_)) return std::vector<std::string>();
    return index_label_names(block_->index(), matchers);
  }

  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<Matcher>& matchers) const override {
    if (!block_->range().overlaps(range_)) return std::vector<std::string>();
    return index_label_values(block_->index(), name, matchers);
  }

 private:
  const std::shared_ptr<const Block> block_;
  const TimeRange range_;
};

}  // namespace

std::unique_ptr<Querier> make_block_querier(std::shared_ptr<const Block> block, TimeRange range) {
  return std::make_unique<BlockQuerier>(std::move(block), range);
}

}  // namespace tarsier::tsdb
