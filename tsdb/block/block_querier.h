#pragma once

#include <memory>

#include "tsdb/block/block.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// A view of one block. Queriers and the sets they make keep the block alive.
std::unique_ptr<Querier> make_block_querier(std::shared_ptr<const Block> block, TimeRange range);

}  // namespace tarsier::tsdb
