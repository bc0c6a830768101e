#include "tsdb/head/head_cutter.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "tsdb/block/block_writer.h"

namespace tarsier::tsdb {
namespace {

/// The series that go into the block, in label order, and what has to be known beforehand.
struct Content {
  std::vector<Slot> slots;
  SymbolSet symbols;
  std::int64_t min_time = INT64_MAX;
};

Content survey(Head& head, const HeadGeneration& generation, TimeRange range) {
  SeriesTable& table = generation.table;
  Content content;
  {
    MutexLock lock(table.mutex());
    generation.postings->append_all(content.slots);
  }
  std::vector<bool> seen;  // By pair.
  std::vector<PairId> pairs;
  Head::ChunksInRange chunks;
  std::erase_if(content.slots, [&](Slot slot) {
    head.find_chunks(slot, range, chunks);
    if (chunks.sealed.empty()) return true;
    content.min_time = std::min(content.min_time, chunks.sealed.back()->min_t());
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

}  // namespace

Result<std::optional<BlockMeta>> cut_block(Head& head, FileSystem& files,
                                           const std::string& data_directory, Ulid ulid,
                                           Timestamp end, std::uint64_t segment_bytes_max) {
  const std::shared_ptr<const HeadGeneration> generation = head.generation();
  const TimeRange range{Timestamp{generation->min_time}, end - milliseconds(1)};
  Content content = survey(head, *generation, range);
  if (content.slots.empty()) return std::optional<BlockMeta>();

  BlockMeta meta;
  meta.ulid = ulid;
  meta.min_time = Timestamp{content.min_time};
  meta.max_time = end;
  meta.sources = {ulid};
  const auto writer = TRY(BlockWriter::create(files, data_directory, std::move(meta),
                                              std::move(content.symbols), segment_bytes_max));
  Head::ChunksInRange chunks;
  std::vector<EncodedChunk> encoded;
  for (const Slot slot : content.slots) {
    head.find_chunks(slot, range, chunks);
    CHECK(chunks.open_bytes == 0, "a frozen head has no open chunk before its end");
    encoded.clear();
    for (auto chunk = chunks.sealed.rbegin(); chunk != chunks.sealed.rend(); ++chunk) {
      encoded.push_back({Timestamp{(*chunk)->min_t()},
                         Timestamp{(*chunk)->max_t},
                         {ChunkEncoding::kXor, (*chunk)->bytes()}});
    }
    TRY(writer->add_series(head.table().labels(slot), encoded));
  }
  return writer->finish();
}

}  // namespace tarsier::tsdb
