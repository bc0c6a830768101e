#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/sealed_set.h"
#include "tsdb/block/tier_set.h"
#include "tsdb/compaction/downsampler.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// All storage that retention looks at.
struct RetainedStorage {
  BlockSet& blocks;
  SealedSet& sealed;
  TierSet& tiers;
  const Downsampler& downsampler;
};

/// The greatest end of a block of any kind, from which age counts.
Timestamp newest_end(const RetainedStorage& storage);

/// How long and how much of each kind.
struct RetentionPlan {
  RetentionLimits samples;
  std::vector<TierOptions> tiers;
};
/// A coarser resolution is kept at least as long as a finer one.
RetentionPlan retention_plan(const Options& options);

/// What would go, and why: "time" or "size".
struct DoomedBlock {
  enum class Kind : unsigned char { kSealed, kTier };
  Kind kind;
  Ulid ulid;
  bool is_for_age = true;
};
/// The sealed and downsampled blocks the plan no longer allows: those that end at least the limit
/// before the newest end; and while everything together is too many bytes, the oldest, samples
/// before their downsampled forms. A sealed block stays until it is downsampled.
std::vector<DoomedBlock> choose_doomed(const RetainedStorage& storage, const RetentionPlan& plan);

/// Deletes these, and the interchange blocks that `samples` no longer allows.
Result<BlockSet::Expired> apply_retention(const RetainedStorage& storage, const RetentionPlan& plan,
                                          Logger& log);

}  // namespace tarsier::tsdb
