#include "tsdb/head/late_cutter.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kSamplesPerChunk = 120;

/// Slots, in label order, of the series that may have samples in `range`.
std::vector<Slot> slots_in(Head& head, const HeadGeneration& generation, const LateEpoch& epoch,
                           TimeRange range) {
  std::vector<Slot> slots;
  for (const LateEpoch::Series& series : epoch.series()) {
    if (series.is_empty() || series.min_t > range.max.ms || series.max_t < range.min.ms) continue;
    slots.push_back(series.slot);
  }
  std::sort(slots.begin(), slots.end());
  head.table().sort_by_labels(generation.order_epoch, slots);
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

Status add_series(const Labels& labels, const SampleColumns& columns, BlockWriter& writer) {
  std::vector<XorEncoder> encoders;
  encoders.reserve(columns.size() / kSamplesPerChunk + 1);
  std::vector<EncodedChunk> chunks;
  for (std::size_t begin = 0; begin < columns.size(); begin += kSamplesPerChunk) {
    const std::size_t end = std::min(begin + kSamplesPerChunk, columns.size());
    XorEncoder& encoder = encoders.emplace_back();
    for (std::size_t i = begin; i < end; ++i) {
      encoder.append({Timestamp{columns.times_ms[i]}, columns.values[i]});
    }
    chunks.push_back({Timestamp{columns.times_ms[begin]},
                      Timestamp{columns.times_ms[end - 1]},
                      {ChunkEncoding::kXor, encoder.bytes()}});
  }
  return writer.add_series(labels, chunks);
}

Status cut_range(Head& head, const LateEpoch& epoch, FileSystem& files, const LateCut& cut,
                 TimeRange range) {
  const std::shared_ptr<const HeadGeneration> generation = head.generation();
  const std::vector<Slot> slots = slots_in(head, *generation, epoch, range);
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
  SampleColumns columns;
  for (const Slot slot : slots) {
    const LateEpoch::Series& series = *epoch.find(slot);
    columns.clear();
    TRY(read_late(series.newest, series.open(), range, columns));
    if (columns.size() > 0) TRY(add_series(head.table().labels(slot), columns, *writer));
  }
  const std::optional<BlockMeta> written = TRY(writer->finish());
  if (written) cut.written(*written);
  return {};
}

}  // namespace

Status cut_late_blocks(Head& head, const LateEpoch& epoch, FileSystem& files, const LateCut& cut,
                       Timestamp& done_until) {
  // The ranges that have samples, found by the samples: late ones may be far apart.
  std::set<std::int64_t> ends;
  SampleColumns columns;
  for (const LateEpoch::Series& series : epoch.series()) {
    columns.clear();
    TRY(read_late(series.newest, series.open(), TimeRange{}, columns));
    for (const std::int64_t t : columns.times_ms) {
      if (ends.empty() || head.window_end(t) != *ends.rbegin()) ends.insert(head.window_end(t));
    }
  }
  for (const std::int64_t end : ends) {
    const TimeRange range{Timestamp{end} - cut.block_range, Timestamp{end} - milliseconds(1)};
    if (range.min < done_until) continue;
    TRY(cut_range(head, epoch, files, cut, range));
    done_until = Timestamp{end};
  }
  return {};
}

}  // namespace tarsier::tsdb
