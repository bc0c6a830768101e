#include "tsdb/head/head_cutter.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "tsdb/head/chunk_division.h"

namespace tarsier::tsdb {
namespace {

/// The series that go into the block, in label order, and what has to be known beforehand.
struct Content {
  std::vector<Slot> slots;
  SymbolSet symbols;
  std::int64_t min_time = INT64_MAX;
};

/// First and last sample of what was found, if anything was.
std::optional<TimeRange> held_range(const Head::ChunksInRange& chunks) {
  const bool has_open = chunks.open_bytes > 0;
  if (chunks.sealed.empty()) return has_open ? std::optional(chunks.open_range) : std::nullopt;
  return TimeRange{Timestamp{chunks.sealed.back()->min_t()},
                   has_open ? chunks.open_range.max : Timestamp{chunks.sealed.front()->max_t()}};
}

std::vector<Slot> all_slots(const HeadGeneration& generation) {
  std::vector<Slot> slots;
  MutexLock lock(generation.table.mutex());
  generation.postings->append_all(slots);
  return slots;
}

std::vector<Slot> slots_of(std::span<const EndedSeries> ended) {
  std::vector<Slot> slots;
  for (const EndedSeries& one : ended) slots.push_back(one.slot);
  return slots;
}

/// Finds the chunks of a series that are to be written.
using FindChunks = std::function<void(Slot, Head::ChunksInRange&)>;

Content survey(const HeadGeneration& generation, const Tombstones& tombstones,
               const FindChunks& find, std::vector<Slot> slots) {
  SeriesTable& table = generation.table;
  Content content;
  content.slots = std::move(slots);
  std::vector<bool> seen;  // By pair.
  std::vector<PairId> pairs;
  Head::ChunksInRange chunks;
  std::erase_if(content.slots, [&](Slot slot) {
    find(slot, chunks);
    const std::optional<TimeRange> held = held_range(chunks);
    if (!held || is_deleted(tombstones.ranges(table.info(slot).ref), *held)) return true;
    content.min_time = std::min(content.min_time, held->min.ms);
    for (const PairId pair : table.info(slot).pair_ids()) {
      if (pair >= seen.size()) seen.resize(std::max<std::size_t>(pair + 1, 2 * seen.size()));
      if (!seen[pair]) pairs.push_back(pair);
      seen[pair] = true;
    }
    return false;
  });
  table.sort_by_labels(generation.order_epoch, content.slots);
  for (const PairId pair : pairs) {
    content.symbols.add(table.pairs().view(pair).name);
    content.symbols.add(table.pairs().view(pair).value);
  }
  content.symbols.sort();
  return content;
}

/// What to write where.
struct Request {
  const std::string& data_directory;
  Ulid ulid;
  TimeRange range;
  std::uint64_t segment_bytes_max;
  const ChunkSeen& seen;
  std::optional<std::span<const EndedSeries>> ended;  ///< None: all.
};

/// Writes what the head has in the range into a block that ends at the end of the range or later,
/// or, of some series only, where their last chunk does.
Result<std::optional<BlockMeta>> write_block(Head& head, FileSystem& files, Request request) {
  const std::shared_ptr<const Tombstones> tombstones = head.tombstones();
  const std::shared_ptr<const HeadGeneration> generation = head.generation();
  TimeRange range = request.range;
  range.min = std::max(range.min, Timestamp{generation->min_time});
  const bool is_part = request.ended.has_value();
  // Of series that ended, what came since is not ours: the log may still lose it.
  const auto find = [&](Slot slot, Head::ChunksInRange& chunks) {
    head.find_chunks(slot, range, chunks);
    if (!is_part) return;
    const auto one = std::lower_bound(request.ended->begin(), request.ended->end(), slot,
                                      [](const EndedSeries& a, Slot b) { return a.slot < b; });
    std::erase_if(chunks.sealed, [&](const SealedChunk* c) { return c->max_t() > one->newest; });
    chunks.open_bytes = 0;
  };
  Content content = survey(*generation, *tombstones, find,
                           is_part ? slots_of(*request.ended) : all_slots(*generation));
  if (content.slots.empty()) return std::optional<BlockMeta>();

  BlockMeta meta;
  meta.ulid = request.ulid;
  meta.min_time = Timestamp{content.min_time};
  meta.max_time = (is_part ? meta.min_time : range.max) + milliseconds(1);
  meta.sources = {request.ulid};
  if (is_part) meta.hints = {std::string(kHintOutOfOrder)};
  const auto writer =
      TRY(BlockWriter::create(files, request.data_directory, std::move(meta),
                              std::move(content.symbols), request.segment_bytes_max));
  Head::ChunksInRange chunks;
  std::vector<EncodedChunk> encoded;
  ChunkDivision division(head.range_ms());
  for (const Slot slot : content.slots) {
    find(slot, chunks);
    encoded.clear();
    for (auto chunk = chunks.sealed.rbegin(); chunk != chunks.sealed.rend(); ++chunk) {
      encoded.push_back({Timestamp{(*chunk)->min_t()},
                         Timestamp{(*chunk)->max_t()},
                         {ChunkEncoding{(*chunk)->encoding()}, (*chunk)->bytes()}});
    }
    if (chunks.open_bytes > 0) {
      encoded.push_back({chunks.open_range.min, chunks.open_range.max, chunks.open_chunk()});
    }
    if (encoded.empty()) continue;
    division.divide(encoded);
    if (request.seen) std::for_each(encoded.begin(), encoded.end(), request.seen);
    writer->extend_to(encoded.back().max_time + milliseconds(1));
    TRY(writer->add_series(head.table().labels(slot), encoded,
                           tombstones->ranges(head.table().info(slot).ref)));
  }
  return writer->finish();
}

}  // namespace

Result<std::optional<BlockMeta>> cut_block(Head& head, FileSystem& files,
                                           const std::string& data_directory, Ulid ulid,
                                           Timestamp end, std::uint64_t segment_bytes_max,
                                           const ChunkSeen& seen) {
  // Frozen: whatever is open begins at the end or behind it.
  const TimeRange range{kMinTimestamp, end - milliseconds(1)};
  return write_block(head, files, {data_directory, ulid, range, segment_bytes_max, seen, {}});
}

Result<std::optional<BlockMeta>> cut_series(Head& head, FileSystem& files,
                                            const std::string& data_directory, Ulid ulid,
                                            std::span<const EndedSeries> series, TimeRange window,
                                            std::uint64_t segment_bytes_max,
                                            const ChunkSeen& seen) {
  return write_block(head, files, {data_directory, ulid, window, segment_bytes_max, seen, series});
}

Result<std::optional<BlockMeta>> copy_head(Head& head, FileSystem& files,
                                           const std::string& data_directory, Ulid ulid,
                                           std::uint64_t segment_bytes_max) {
  if (head.is_empty()) return std::optional<BlockMeta>();
  const TimeRange range{kMinTimestamp, Timestamp{head.max_time()}};
  return write_block(head, files, {data_directory, ulid, range, segment_bytes_max, nullptr, {}});
}

}  // namespace tarsier::tsdb
