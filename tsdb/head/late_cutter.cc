#include "tsdb/head/late_cutter.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/head/late_capture.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kSamplesPerChunk = 120;

/// What one series has of late samples within a range, as chunks.
class LateSeries final {
 public:
  LateSeries(const Head& head, const Head::LateEpochs& epochs) : head_(head), epochs_(epochs) {}

  Status read(Slot slot, TimeRange range) {
    columns_.clear();
    samples_.clear();
    const LateCapture late = head_.late_of(slot, epochs_, range);
    if (late.has_histograms(0)) {
      for (const LateCapture::Part& part : late.parts) {
        std::vector<AnySample> added;
        TRY(read_late(part.newest, late.open(part), late.open_histograms(part), range, added));
        merge_any_samples(samples_, added);
      }
      return {};
    }
    for (const LateCapture::Part& part : late.parts) {
      const std::size_t from = columns_.size();
      TRY(read_late(part.newest, late.open(part), range, columns_));
      merge_columns(0, from, columns_);
    }
    return {};
  }
  bool empty() const { return columns_.size() == 0 && samples_.empty(); }
  template <typename Take>
  void for_each_time(const Take& take) const {
    for (const std::int64_t t : columns_.times_ms) take(t);
    for (const AnySample& sample : samples_) take(sample.t.ms);
  }
  Status write(const Labels& labels, BlockWriter& writer) {
    bytes_.clear();
    std::vector<Place> places;
    const auto keep = [&](Timestamp min_time, Timestamp max_time, const Chunk& chunk) {
      places.push_back({min_time, max_time, chunk.encoding, bytes_.size(), chunk.data.size()});
      bytes_ += as_text(chunk.data);
    };
    for (std::size_t begin = 0; begin < columns_.size(); begin += kSamplesPerChunk) {
      const std::size_t end = std::min(begin + kSamplesPerChunk, columns_.size());
      XorEncoder encoder;
      for (std::size_t i = begin; i < end; ++i) {
        encoder.append({Timestamp{columns_.times_ms[i]}, columns_.values[i]});
      }
      keep(Timestamp{columns_.times_ms[begin]}, Timestamp{columns_.times_ms[end - 1]},
           {ChunkEncoding::kXor, encoder.bytes()});
    }
    encode_any_samples(samples_, kSamplesPerChunk, keep);
    std::vector<EncodedChunk> chunks;
    for (const Place& place : places) {
      chunks.push_back({place.min_time,
                        place.max_time,
                        {place.encoding, as_bytes(bytes_).subspan(place.begin, place.size)}});
    }
    return writer.add_series(labels, chunks);
  }

 private:
  struct Place {
    Timestamp min_time;
    Timestamp max_time;
    ChunkEncoding encoding;
    std::size_t begin;
    std::size_t size;
  };

  const Head& head_;
  const Head::LateEpochs& epochs_;
  SampleColumns columns_;  // Of a series without histograms; else samples_ has all.
  std::vector<AnySample> samples_;
  std::string bytes_;
};

/// Those of `slots` that have samples in `range`, in label order.
Result<std::vector<Slot>> slots_in(const Head& head, const HeadGeneration& generation,
                                   const Head::LateEpochs& epochs, std::vector<Slot> slots,
                                   TimeRange range) {
  LateSeries series(head, epochs);
  std::size_t kept = 0;
  for (const Slot slot : slots) {
    TRY(series.read(slot, range));
    if (!series.empty()) slots[kept++] = slot;
  }
  slots.resize(kept);
  generation.table.sort_by_labels(generation.order_epoch, slots);
  return slots;
}

SymbolSet symbols_of(const SeriesTable& table, const std::vector<Slot>& slots) {
  std::set<PairId> pairs;
  for (const Slot slot : slots) {
    const auto ids = table.info(slot).pair_ids();
    pairs.insert(ids.begin(), ids.end());
  }
  SymbolSet symbols;
  for (const PairId pair : pairs) {
    symbols.add(table.pairs().view(pair).name);
    symbols.add(table.pairs().view(pair).value);
  }
  symbols.sort();
  return symbols;
}

Status cut_range(Head& head, const Head::LateEpochs& epochs, const std::vector<Slot>& candidates,
                 FileSystem& files, const LateCut& cut, TimeRange range) {
  const std::shared_ptr<const HeadGeneration> generation = head.generation();
  const std::vector<Slot> slots = TRY(slots_in(head, *generation, epochs, candidates, range));
  if (slots.empty()) return {};
  BlockMeta meta;
  meta.ulid = cut.next_ulid();
  meta.min_time = range.min;
  meta.max_time = range.max + milliseconds(1);
  meta.sources = {meta.ulid};
  meta.hints = {std::string(kHintOutOfOrder)};
  const auto writer =
      TRY(BlockWriter::create(files, cut.data_directory, std::move(meta),
                              symbols_of(head.table(), slots), cut.segment_bytes_max));
  LateSeries series(head, epochs);
  for (const Slot slot : slots) {
    TRY(series.read(slot, range));
    TRY(series.write(head.table().labels(slot), *writer));
  }
  const std::optional<BlockMeta> written = TRY(writer->finish());
  if (written) cut.written(*written);
  return {};
}

}  // namespace

Status cut_late_blocks(Head& head, const Head::LateEpochs& epochs, FileSystem& files,
                       const LateCut& cut, Timestamp& done_until) {
  const std::vector<Slot> slots = head.late_slots(epochs);
  // The ranges that have samples, found by the samples: late ones may be far apart.
  std::set<std::int64_t> ends;
  LateSeries series(head, epochs);
  for (const Slot slot : slots) {
    TRY(series.read(slot, TimeRange{}));
    series.for_each_time([&](std::int64_t t) {
      if (ends.empty() || head.window_end(t) != *ends.rbegin()) ends.insert(head.window_end(t));
    });
  }
  for (const std::int64_t end : ends) {
    const TimeRange range{Timestamp{end} - cut.block_range, Timestamp{end} - milliseconds(1)};
    if (range.min < done_until) continue;
    TRY(cut_range(head, epochs, slots, files, cut, range));
    done_until = Timestamp{end};
  }
  return {};
}

}  // namespace tarsier::tsdb
