#pragma once

#include "base/log.h"
#include "base/result.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/sealed_set.h"

namespace tarsier::tsdb {

/// Deletes what `limits` no longer allow, of interchange and sealed blocks together: those that end
/// at least the limit before the newest end, and the oldest ones as long as all are too many bytes.
Result<BlockSet::Expired> apply_retention(BlockSet& blocks, SealedSet& sealed,
                                          const RetentionLimits& limits, Logger& log);

}  // namespace tarsier::tsdb
