#include "tsdb/block/block_deletion.h"

#include <algorithm>

#include "tsdb/index/select.h"

namespace tarsier::tsdb {

Result<std::optional<Tombstones>> delete_in_block(const Block& block,
                                                  const std::vector<Matcher>& matchers,
                                                  TimeRange range) {
  std::optional<Tombstones> more;
  if (!block.range().overlaps(range)) return more;
  std::vector<ChunkMeta> chunks;
  for (const std::uint32_t ref : TRY(select_postings(block.index(), matchers, nullptr))) {
    const Bytes series = TRY(block.index().series(ref));
    if (!TRY(block.index().overlaps(series, range))) continue;
    chunks.clear();
    TRY(block.index().append_chunks(series, TimeRange{}, chunks));
    const TimeRange gone{std::max(range.min, chunks.front().min_time),
                         std::min(range.max, chunks.back().max_time)};
    if (is_deleted(block.tombstones().ranges(ref), gone)) continue;
    if (!more) more = block.tombstones();
    more->add(ref, gone);
  }
  return more;
}

}  // namespace tarsier::tsdb
