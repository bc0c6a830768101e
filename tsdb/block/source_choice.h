#pragma once

#include <vector>

#include "base/time.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/sealed_block.h"
#include "tsdb/block/tier_block.h"
#include "tsdb/merge_querier.h"

namespace tarsier::tsdb {

/// What is on disk at one moment: `sealed` was taken after `blocks`, `tiers` after both, as what is
/// sealed goes from there, and what is downsampled from here.
struct StoredBlocks {
  const BlockList& blocks;
  const SealedBlockList& sealed;
  const TierBlockList& tiers;
  /// From here on there may be samples elsewhere, too.
  Timestamp head_min = kMaxTimestamp;
};

/// Whether these orphans have what `sealed` no longer has: before, they were written and nothing
/// more.
bool orphans_count(const TierBlock& rows, const SealedBlockList& sealed);

/// Everything to be read for `range`. Every time is served once, by samples or by rows of one
/// resolution; which, each request's ResolutionHints say. Rows may stand for a sealed block whose
/// samples are there as long as they are of all it holds: nothing of it is deleted and no late
/// sample waits elsewhere. Where samples are gone, rows always serve.
std::vector<MergeSource> choose_sources(const StoredBlocks& stored, TimeRange range);

}  // namespace tarsier::tsdb
