#include <algorithm>

#include "tsdb/block/index_queries.h"
#include "tsdb/block/tier_block.h"

namespace tarsier::tsdb {
namespace {

/// Half of Prometheus' lookback, which an instant selector has to find a sample in.
constexpr Duration kSpacing = milliseconds(150'000);
constexpr std::int64_t kEndShare = 10;

struct Scratch {
  std::vector<LabelView> labels;
  std::vector<ChunkMeta> metas;
  AggregateRows rows;
  SampleColumns columns;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

class TierSeriesSet final : public SeriesSet {
 public:
  TierSeriesSet(std::shared_ptr<const TierBlock> block, TimeRange visible,
                std::vector<std::uint32_t> refs, const SelectHints& hints)
      : block_(std::move(block)), visible_(visible), refs_(std::move(refs)) {
    const Duration resolution = block_->meta().resolution;
    reading_.use = hints.resolution.use.value_or(aggregate_use_of(hints.function, hints.window));
    reading_.resolution = resolution;
    reading_.is_whole = hints.resolution.is_on_grid(resolution) &&
                        block_->meta().has_closed_windows && cuts_no_row(visible);
    const Duration window = hints.resolution.use ? hints.resolution.window : hints.window;
    // A window of any length finds two samples.
    reading_.spacing =
        window > Duration{} ? std::max(milliseconds(1), Duration{window.ms / 2}) : kSpacing;
    wanted_ = columns_of(reading_.use);
  }

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
  bool may_have_histograms(std::size_t /*i*/) const override {
    return block_->meta().histogram_count > 0;
  }
  bool has_histogram_series() const override { return size() > 0 && may_have_histograms(0); }

  Status read(std::size_t i, TimeRange range, SampleColumns& out) const override {
    return read_records(i, range, out, nullptr);
  }
  Status read_mixed(std::size_t i, TimeRange range, SampleColumns& floats,
                    HistogramColumns& histograms) const override {
    return read_records(i, range, floats, &histograms);
  }
  Result<std::optional<Sample>> last_sample(std::size_t i, TimeRange range) const override {
    SampleColumns& columns = scratch().columns;
    columns.clear();
    TRY(read_records(i, range, columns, nullptr));
    if (columns.size() == 0) return std::optional<Sample>();
    return std::optional(Sample{Timestamp{columns.times_ms.back()}, columns.values.back()});
  }

 private:
  /// Whether rows are seen whole or not at all. Blocks begin and end at samples, so a little beside
  /// the ends of windows.
  bool cuts_no_row(TimeRange visible) const {
    const std::int64_t resolution = block_->meta().resolution.ms;
    const auto is_end_of_window = [&](Timestamp t) {
      const std::int64_t rest = (t.ms % resolution + resolution) % resolution;
      return std::min(rest, resolution - rest) <= resolution / kEndShare;
    };
    const TimeRange whole = block_->range();
    return (visible.min <= whole.min || is_end_of_window(visible.min)) &&
           (visible.max >= whole.max || is_end_of_window(visible.max));
  }

  Status read_records(std::size_t i, TimeRange range, SampleColumns& floats,
                      HistogramColumns* histograms) const {
    range = {std::max(range.min, visible_.min), std::min(range.max, visible_.max)};
    if (range.min > range.max) return {};
    // A row stands for what was before it, and a counter rises from the row before.
    const TimeRange context{range.min - reading_.resolution, range.max + reading_.resolution};
    std::vector<ChunkMeta>& metas = scratch().metas;
    AggregateRows& rows = scratch().rows;
    metas.clear();
    rows.clear();
    const Bytes series = TRY(block_->index().verified_series(refs_[i]));
    TRY(block_->index().append_chunks(series, context, metas));
    const std::size_t float_begin = floats.size();
    const std::size_t histogram_begin = histograms == nullptr ? 0 : histograms->size();
    SampleColumns none;
    for (const ChunkMeta& meta : metas) {
      if (TRY(block_->columns().read_aggregates(meta.ref, rows, wanted_))) continue;
      TRY(block_->columns().read(meta.ref, {range, none, histograms}));
    }
    expand_rows(rows, reading_, range, floats);
    if (block_->tombstones().empty()) return {};
    const std::span<const TimeRange> deleted = block_->tombstones().ranges(refs_[i]);
    remove_deleted(deleted, float_begin, floats);
    if (histograms != nullptr) remove_deleted(deleted, histogram_begin, *histograms);
    return {};
  }

  const std::shared_ptr<const TierBlock> block_;
  const TimeRange visible_;
  const std::vector<std::uint32_t> refs_;
  AggregateReading reading_;
  std::uint32_t wanted_ = 0;
};

class TierQuerier final : public Querier {
 public:
  TierQuerier(std::shared_ptr<const TierBlock> block, TimeRange visible)
      : block_(std::move(block)), visible_(visible) {}

  Result<std::unique_ptr<SeriesSet>> select(const std::vector<Matcher>& matchers,
                                            const SelectHints& hints,
                                            const CancelToken* cancel) const override {
    const TimeRange wanted{std::max(visible_.min, hints.range.min),
                           std::min(visible_.max, hints.range.max)};
    std::vector<std::uint32_t> refs;
    if (wanted.min <= wanted.max) {
      const TimeRange context{wanted.min, wanted.max + block_->meta().resolution};
      refs = TRY(select_series(block_->index(), block_->tombstones(), context, matchers,
                               hints.series_limit, cancel));
    }
    return std::unique_ptr<SeriesSet>(new TierSeriesSet(block_, visible_, std::move(refs), hints));
  }
  Result<std::vector<std::string>> label_names(
      const std::vector<Matcher>& matchers) const override {
    return index_label_names(block_->index(), matchers);
  }
  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<Matcher>& matchers) const override {
    return index_label_values(block_->index(), name, matchers);
  }

 private:
  const std::shared_ptr<const TierBlock> block_;
  const TimeRange visible_;
};

}  // namespace

std::unique_ptr<Querier> make_tier_querier(std::shared_ptr<const TierBlock> block,
                                           TimeRange visible) {
  return std::make_unique<TierQuerier>(std::move(block), visible);
}

}  // namespace tarsier::tsdb
