#pragma once

#include <vector>

#include "base/time.h"
#include "tsdb/block/block_meta.h"

namespace tarsier::tsdb {

/// The lengths blocks are compacted to: `block_range`, and three times the one before as long as it
/// is not above `block_range_max`; at most ten. Never empty.
std::vector<Duration> compaction_ranges(Duration block_range, Duration block_range_max);

/// Which blocks to compact into one next, in order of time; empty if there is nothing to do. As
/// Prometheus plans, so that both leave the same blocks behind, except that blocks whose compaction
/// failed before are never tried again:
///  1. the first run of blocks that overlap;
///  2. without the newest block, for each range after the first: two or more blocks inside one
///     aligned window that fill it or lie before the newest of the rest;
///  3. one block alone, if much of it is deleted.
/// Blocks hinted to hold stale or selected series only are planned apart from the others.
std::vector<Ulid> plan_compaction(std::vector<BlockMeta> blocks,
                                  const std::vector<Duration>& ranges);

}  // namespace tarsier::tsdb
