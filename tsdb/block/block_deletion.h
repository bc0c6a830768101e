#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "tsdb/block/block.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// The block's tombstones together with `range` of every series that passes all `matchers`, each
/// within the times of the series' own samples. Nothing when no more is deleted than was before.
Result<std::optional<Tombstones>> delete_in_block(const Block& block,
                                                  const std::vector<Matcher>& matchers,
                                                  TimeRange range);
/// The same for whatever kind of block that index and those tombstones belong to.
Result<std::optional<Tombstones>> delete_in_index(const IndexReader& index,
                                                  const Tombstones& deleted,
                                                  const std::vector<Matcher>& matchers,
                                                  TimeRange range);

}  // namespace tarsier::tsdb
