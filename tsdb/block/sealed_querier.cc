#include <algorithm>

#include <fmt/format.h>

#include "tsdb/block/index_queries.h"
#include "tsdb/block/sealed_block.h"

namespace tarsier::tsdb {
namespace {

/// What reading one series needs; kept per thread.
struct Scratch {
  std::vector<LabelView> labels;
  std::vector<ChunkMeta> metas;
  SampleColumns columns;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

/// References into the index, which lists series in label order. Every entry's checksum and labels
/// were verified when it was selected.
class SealedSeriesSet final : public SeriesSet {
 public:
  SealedSeriesSet(std::shared_ptr<const SealedBlock> block, std::vector<std::uint32_t> refs)
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
    return read_records(i, {range, out, nullptr});
  }

  bool may_have_histograms(std::size_t /*i*/) const override {
    return block_->meta().histogram_sample_count > 0;
  }
  bool has_histogram_series() const override { return size() > 0 && may_have_histograms(0); }

  Status read_mixed(std::size_t i, TimeRange range, SampleColumns& floats,
                    HistogramColumns& histograms) const override {
    return read_records(i, {range, floats, &histograms});
  }

  Result<std::optional<Sample>> last_sample(std::size_t i, TimeRange range) const override {
    TRY(find_records(i, range));
    SampleColumns& columns = scratch().columns;
    const std::vector<ChunkMeta>& metas = scratch().metas;
    for (std::size_t m = metas.size(); m-- > 0;) {
      columns.clear();
      TRY(read_record(i, metas[m], {range, columns, nullptr}));
      if (columns.size() == 0) continue;
      return std::optional(Sample{Timestamp{columns.times_ms.back()}, columns.values.back()});
    }
    return std::optional<Sample>();
  }

 private:
  using Target = SealedColumnsReader::Target;

  Status find_records(std::size_t i, TimeRange range) const {
    scratch().metas.clear();
    const Bytes series = TRY(block_->index().verified_series(refs_[i]));
    return block_->index().append_chunks(series, range, scratch().metas);
  }

  Status read_records(std::size_t i, const Target& target) const {
    TRY(find_records(i, target.range));
    for (const ChunkMeta& meta : scratch().metas) TRY(read_record(i, meta, target));
    return {};
  }

  Status read_record(std::size_t i, const ChunkMeta& meta, const Target& target) const {
    const std::size_t float_begin = target.floats.size();
    const std::size_t histogram_begin =
        target.histograms == nullptr ? 0 : target.histograms->size();
    const Result<std::size_t> outcome = block_->columns().read(meta.ref, target);
    if (!outcome.ok()) {
      return outcome.status().with_prefix(
          fmt::format("sealed block {}", block_->meta().ulid.to_string()));
    }
    if (block_->tombstones().empty()) return {};
    const std::span<const TimeRange> deleted = block_->tombstones().ranges(refs_[i]);
    remove_deleted(deleted, float_begin, target.floats);
    if (target.histograms != nullptr) remove_deleted(deleted, histogram_begin, *target.histograms);
    return {};
  }

  const std::shared_ptr<const SealedBlock> block_;
  const std::vector<std::uint32_t> refs_;  // Ascending: the order of the file and of labels.
};

class SealedQuerier final : public Querier {
 public:
  SealedQuerier(std::shared_ptr<const SealedBlock> block, TimeRange range)
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
    return std::unique_ptr<SeriesSet>(new SealedSeriesSet(block_, std::move(refs)));
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
  const std::shared_ptr<const SealedBlock> block_;
  const TimeRange range_;
};

}  // namespace

std::unique_ptr<Querier> make_sealed_querier(std::shared_ptr<const SealedBlock> block,
                                             TimeRange range) {
  return std::make_unique<SealedQuerier>(std::move(block), range);
}

}  // namespace tarsier::tsdb
