#include "tsdb/head/head_querier.h"

#include <algorithm>
#include <bit>
#include <set>
#include <unordered_set>

#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/index/select.h"
#include "tsdb/label_comparison.h"

namespace tarsier::tsdb {
namespace {

/// How many postings lists are copied per hold of the table's lock.
constexpr std::size_t kListsPerLock = 64;

/// The head's postings as selections read them.
class HeadPostingsSource final {
 public:
  using Ref = Slot;

  HeadPostingsSource(SeriesTable& table, const HeadPostings& postings)
      : table_(table), postings_(postings) {}

  Status append_all(std::vector<Slot>& out) {
    MutexLock lock(table_.mutex());
    postings_.append_all(out);
    return {};
  }
  Status append_postings(std::string_view name, std::string_view value, std::vector<Slot>& out) {
    MutexLock lock(table_.mutex());
    if (const auto pair = table_.pairs().find(name, value)) postings_.append_pair(*pair, out);
    return {};
  }
  template <typename Keep>
  Status append_values(std::string_view name, std::string_view prefix, const Keep& keep,
                       PostingsRuns<Slot>& runs) {
    std::vector<PairId> pairs = pairs_of(name);
    std::erase_if(pairs, [&](PairId pair) {
      const std::string_view value = table_.pairs().value(pair);
      return !value.starts_with(prefix) || !keep(value);
    });
    for (std::size_t begin = 0; begin < pairs.size(); begin += kListsPerLock) {
      MutexLock lock(table_.mutex());
      for (std::size_t i = begin; i < std::min(begin + kListsPerLock, pairs.size()); ++i) {
        postings_.append_pair(pairs[i], runs.refs);
        runs.finish_run();
      }
    }
    return {};
  }
  std::size_t value_count(std::string_view name) {
    MutexLock lock(table_.mutex());
    const auto id = table_.pairs().find_name(name);
    return id ? postings_.pairs_of(*id).size() : 0;
  }
  Result<std::string_view> label_value(Slot slot, std::string_view name) {
    return table_.label(slot, name);
  }

  std::vector<PairId> pairs_of(std::string_view name) {
    MutexLock lock(table_.mutex());
    const auto id = table_.pairs().find_name(name);
    if (!id) return {};
    const std::span<const PairId> pairs = postings_.pairs_of(*id);
    return {pairs.begin(), pairs.end()};
  }

 private:
  SeriesTable& table_;
  const HeadPostings& postings_;
};

class HeadSeriesSet final : public SeriesSet {
 public:
  HeadSeriesSet(const Head& head, std::shared_ptr<const HeadGeneration> generation,
                std::shared_ptr<const Tombstones> tombstones, Head::Capture capture)
      : head_(head),
        generation_(std::move(generation)),
        tombstones_(std::move(tombstones)),
        slots_(std::move(capture.slots)),
        newest_(std::move(capture.newest)),
        mixed_(std::move(capture.mixed)),
        late_(std::move(capture.late)) {}

  std::size_t size() const override { return slots_.size(); }
  Labels labels(std::size_t i) const override { return head_.table().labels(slots_[i]); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return head_.table().label(slots_[i], name);
  }

  std::strong_ordering compare(std::size_t i, const Labels& other) const override {
    const std::span<const PairId> pairs = head_.table().info(slots_[i]).pair_ids();
    auto at = pairs.begin();
    const auto next = [&] {
      return at == pairs.end() ? LabelView{} : head_.table().pairs().view(*at++);
    };
    return compare_labels(next, other);
  }
  bool may_have_label(std::string_view name) const override {
    MutexLock lock(generation_->table.mutex());
    return generation_->table.pairs().find_name(name).has_value();
  }

  Status read(std::size_t i, TimeRange range, SampleColumns& out) const override {
    if (may_have_histograms(i) && !late_.of(i).empty()) {
      // A float may have the time of a histogram that came first.
      HistogramColumns histograms;
      return read_mixed(i, range, out, histograms);
    }
    const std::size_t begin = out.size();
    TRY(read_chunks(i, range, out, nullptr));
    return add_late(i, range, begin, out);
  }

  bool may_have_histograms(std::size_t i) const override {
    return std::binary_search(mixed_.begin(), mixed_.end(), i);
  }
  bool has_histogram_series() const override { return !mixed_.empty(); }

  Status read_mixed(std::size_t i, TimeRange range, SampleColumns& floats,
                    HistogramColumns& histograms) const override {
    const auto late = late_.of(i);
    if (late.empty()) return read_chunks(i, range, floats, &histograms);
    MixedMerge merge(floats, histograms);
    TRY(read_chunks(i, range, floats, &histograms));
    merge.add_source();
    for (const LateCapture::Part& part : late) {
      TRY(read_late(late_, part, range, floats, histograms, merge));
    }
    merge.finish();
    return {};
  }

  Result<std::optional<Sample>> last_sample(std::size_t i, TimeRange range) const override {
    std::optional<Sample> last = TRY(last_in_order(i, range));
    if (late_.parts.empty() || (last && last->t == range.max)) return last;
    if (last) range.min = last->t + milliseconds(1);
    SampleColumns out;
    if (may_have_histograms(i)) {
      TRY(read(i, range, out));
    } else {
      TRY(add_late(i, range, 0, out));
    }
    if (out.size() > 0) last = Sample{Timestamp{out.times_ms.back()}, out.values.back()};
    return last;
  }

 private:
  Status add_late(std::size_t i, TimeRange range, std::size_t begin, SampleColumns& out) const {
    if (late_.parts.empty()) return {};
    for (const LateCapture::Part& part : late_.of(i)) {
      const std::size_t from = out.size();
      TRY(read_late(part.newest, late_.open(part), range, out));
      merge_columns(begin, from, out);
    }
    return {};
  }

  Result<std::optional<Sample>> last_in_order(std::size_t i, TimeRange range) const {
    const Head::Newest newest = newest_[i];
    range = visible(i, range);
    if (range.min > range.max) return std::optional<Sample>();
    if (range.max.ms == newest.t && newest.value_bits != Head::Newest::kLookIntoChunk &&
        !is_deleted(deleted(i), {range.max, range.max})) {
      return std::optional<Sample>({Timestamp{newest.t}, std::bit_cast<double>(newest.value_bits)});
    }
    Head::ChunksInRange chunks;
    head_.find_chunks(slots_[i], range, chunks);
    SampleColumns out;
    if (chunks.open_bytes > 0) {
      TRY(decode(chunks.open_chunk(), range, out, nullptr));
      remove_deleted(deleted(i), 0, out);
    }
    for (const SealedChunk* chunk : chunks.sealed) {
      if (out.size() > 0) break;
      TRY(decode({ChunkEncoding{chunk->encoding()}, chunk->bytes()}, range, out, nullptr));
      remove_deleted(deleted(i), 0, out);
    }
    if (out.size() == 0) return std::optional<Sample>();
    return std::optional<Sample>({Timestamp{out.times_ms.back()}, out.values.back()});
  }

  /// Histograms are passed over if `histograms` is null.
  static Status decode(const Chunk& chunk, TimeRange range, SampleColumns& floats,
                       HistogramColumns* histograms) {
    if (is_float_encoding(chunk.encoding)) {
      return decode_float_chunk(chunk.encoding, chunk.data, range, floats);
    }
    if (histograms == nullptr || !is_histogram_encoding(chunk.encoding)) return {};
    return decode_histogram_chunk(chunk.encoding, chunk.data, range, *histograms);
  }

  Status read_chunks(std::size_t i, TimeRange range, SampleColumns& floats,
                     HistogramColumns* histograms) const {
    range = visible(i, range);
    if (range.min > range.max) return {};
    const std::size_t floats_begin = floats.size();
    const std::size_t histograms_begin = histograms == nullptr ? 0 : histograms->size();
    Head::ChunksInRange chunks;
    head_.find_chunks(slots_[i], range, chunks);
    for (auto at = chunks.sealed.rbegin(); at != chunks.sealed.rend(); ++at) {
      TRY(decode({ChunkEncoding{(*at)->encoding()}, (*at)->bytes()}, range, floats, histograms));
    }
    if (chunks.open_bytes > 0) TRY(decode(chunks.open_chunk(), range, floats, histograms));
    remove_deleted(deleted(i), floats_begin, floats);
    if (histograms != nullptr) remove_deleted(deleted(i), histograms_begin, *histograms);
    return {};
  }

  TimeRange visible(std::size_t i, TimeRange range) const {
    return {std::max(range.min, Timestamp{generation_->min_time}),
            std::min(range.max, Timestamp{newest_[i].t})};
  }
  std::span<const TimeRange> deleted(std::size_t i) const {
    if (tombstones_->empty()) return {};
    return tombstones_->ranges(head_.table().info(slots_[i]).ref);
  }

  const Head& head_;
  const std::shared_ptr<const HeadGeneration> generation_;
  const std::shared_ptr<const Tombstones> tombstones_;
  const std::vector<Slot> slots_;  // In label order.
  const std::vector<Head::Newest> newest_;
  const std::vector<std::uint32_t> mixed_;
  const LateCapture late_;
};

class HeadQuerier final : public Querier {
 public:
  HeadQuerier(const Head& head, TimeRange range)
      : head_(head),
        tombstones_(head.tombstones()),
        generation_(head.generation()),
        late_epochs_(head.late_epochs()),
        range_(range) {}

  Result<std::unique_ptr<SeriesSet>> select(const std::vector<Matcher>& matchers,
                                            const SelectHints& hints,
                                            const CancelToken* cancel) const override {
    auto sets = TRY(select_all({{matchers, hints}}, cancel));
    return std::move(sets.front());
  }

  Result<std::vector<std::unique_ptr<SeriesSet>>> select_all(
      const std::vector<SelectRequest>& requests, const CancelToken* cancel) const override {
    std::vector<Head::Capture> captures(requests.size());
    const auto find_slots = [&] { return this->find_slots(requests, cancel, captures); };
    TRY(head_.snapshot(captures, find_slots));
    std::vector<std::unique_ptr<SeriesSet>> sets;
    for (Head::Capture& capture : captures) {
      drop_deleted(capture);
      sets.push_back(
          std::make_unique<HeadSeriesSet>(head_, generation_, tombstones_, std::move(capture)));
    }
    return sets;
  }

  Result<std::vector<std::string>> label_names(
      const std::vector<Matcher>& matchers) const override {
    std::unordered_set<NameId> ids;
    for (const Slot slot : TRY(slots_in_range(matchers))) {
      for (const PairId pair : generation_->table.info(slot).pair_ids()) {
        ids.insert(generation_->table.pairs().name_of(pair));
      }
    }
    std::vector<std::string> names;
    for (const NameId id : ids) names.emplace_back(generation_->table.pairs().name_text(id));
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::vector<std::string>> label_values(
      std::string_view name, const std::vector<Matcher>& matchers) const override {
    const SeriesTable& table = generation_->table;
    std::vector<std::string> values;
    if (matchers.empty()) {
      for (const PairId pair : source().pairs_of(name))
        values.emplace_back(table.pairs().value(pair));
    } else {
      std::set<std::string_view> seen;
      for (const Slot slot : TRY(slots_in_range(matchers))) {
        const std::string_view value = table.label(slot, name);
        if (!value.empty() && seen.insert(value).second) values.emplace_back(value);
      }
    }
    std::sort(values.begin(), values.end());
    return values;
  }

 private:
  /// Takes out the series of which nothing is left.
  void drop_deleted(Head::Capture& capture) const {
    if (tombstones_->empty()) return;
    const std::int64_t oldest = std::max(capture.min_time, head_.min_time());
    std::size_t kept = 0;
    auto mixed = capture.mixed.begin();
    std::vector<std::uint32_t> still_mixed;
    auto late = capture.late.parts.begin();
    for (std::size_t i = 0; i < capture.slots.size(); ++i) {
      const auto deleted = tombstones_->ranges(head_.table().info(capture.slots[i]).ref);
      const TimeRange visible{Timestamp{oldest}, Timestamp{capture.newest[i].t}};
      const bool is_mixed = mixed != capture.mixed.end() && *mixed == i;
      if (is_mixed) ++mixed;
      bool is_kept = capture.newest[i].t != kNoSample && !is_deleted(deleted, visible);
      for (; late != capture.late.parts.end() && late->index == i; ++late) {
        is_kept = true;
        late->index = static_cast<std::uint32_t>(kept);
      }
      if (!is_kept) continue;
      if (is_mixed) still_mixed.push_back(static_cast<std::uint32_t>(kept));
      capture.slots[kept] = capture.slots[i];
      capture.newest[kept++] = capture.newest[i];
    }
    capture.slots.resize(kept);
    capture.newest.resize(kept);
    capture.mixed = std::move(still_mixed);
  }

  HeadPostingsSource source() const { return {generation_->table, *generation_->postings}; }

  Status find_slots(const std::vector<SelectRequest>& requests, const CancelToken* cancel,
                    std::vector<Head::Capture>& captures) const {
    HeadPostingsSource postings = source();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      std::vector<Slot>& slots = captures[i].slots;
      slots = TRY(select_postings(postings, requests[i].matchers, cancel));
      generation_->table.sort_by_labels(generation_->order_epoch, slots);
      const TimeRange range{std::max(requests[i].hints.range.min, range_.min),
                            std::min(requests[i].hints.range.max, range_.max)};
      captures[i].min_time = std::max(generation_->min_time, range.min.ms);
      captures[i].late_range = range;
      captures[i].held_epochs = late_epochs_;
      TRY(check_cancel(cancel));
    }
    return {};
  }

  Result<std::vector<Slot>> slots_in_range(const std::vector<Matcher>& matchers) const {
    std::vector<Head::Capture> captures(1);
    const std::vector<SelectRequest> requests = {{matchers, {}}};
    const auto find_slots = [&] { return this->find_slots(requests, nullptr, captures); };
    TRY(head_.snapshot(captures, find_slots));
    drop_deleted(captures[0]);
    return std::move(captures[0].slots);
  }

  const Head& head_;
  // Taken before the generation: a truncation in between forgets what only the older one needs.
  const std::shared_ptr<const Tombstones> tombstones_;
  const std::shared_ptr<const HeadGeneration> generation_;
  const Head::LateEpochs late_epochs_;  // After the generation: Head::late_epochs.
  const TimeRange range_;
};

}  // namespace

std::unique_ptr<Querier> make_head_querier(const Head& head, TimeRange range) {
  return std::make_unique<HeadQuerier>(head, range);
}

Result<std::vector<Slot>> select_slots(const HeadGeneration& generation,
                                       const std::vector<Matcher>& matchers) {
  HeadPostingsSource postings(generation.table, *generation.postings);
  return select_postings(postings, matchers, nullptr);
}

}  // namespace tarsier::tsdb
