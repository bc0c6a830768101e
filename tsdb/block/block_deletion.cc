#include "tsdb/block/block_deletion.h"

#include <algorithm>

#include "tsdb/index/select.h"

namespace tarsier::tsdb {

Result<std::optional<Tombstones>> delete_in_block(const Block& block,
                                                  const std::vector<Matcher>& matchers,
                                                  TimeRange range) {
  if (!block.range().overlaps(range)) return std::optional<Tombstones>();
  return delete_in_index(block.index(), block.tombstones(), matchers, range);
}

Result<std::optional<Tombstones>> delete_in_index(const IndexReader& index,
                                                  const Tombstones& deleted,
                                                  const std::vector<Matcher>& matchers,
                                                  TimeRange range) {
  std::optional<Tombstones> more;
  std::vector<ChunkMeta> chunks;
  for (const std::uint32_t ref : TRY(select_postings(index, matchers, nullptr))) {
    const Bytes series = TRY(index.series(ref));
    if (!TRY(index.overlaps(series, range))) continue;
    chunks.clear();
    TRY(index.append_chunks(series, TimeRange{}, chunks));
    const TimeRange gone{std::max(range.min, chunks.front().min_time),
                         std::min(range.max, chunks.back().max_time)};
    if (is_deleted(deleted.ranges(ref), gone)) continue;
    if (!more) more = deleted;
    more->add(ref, gone);
  }
  return more;
}

}  // namespace tarsier::tsdb
