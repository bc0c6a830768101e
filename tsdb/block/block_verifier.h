#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/block.h"

namespace tarsier::tsdb {

/// One series of a block, with the chunks that are whole. Borrowed for the call.
struct VerifiedSeries {
  std::uint32_t ref = 0;
  const std::vector<LabelView>& labels;
  const std::vector<ChunkMeta>& metas;
  const std::vector<Chunk>& chunks;
};

struct BlockTotals {
  std::uint64_t series = 0;
  std::uint64_t chunks = 0;
  std::uint64_t samples = 0;
};

/// Reads every series and chunk of `block`, compares checksums, decodes the samples and compares
/// them with what the index says, and the whole with meta.json. `report` is told where and what is
/// wrong; `keep` (may be empty) gets every series of which something is whole.
Result<BlockTotals> verify_block(const Block& block,
                                 const std::function<void(const std::string&)>& report,
                                 const std::function<Status(const VerifiedSeries&)>& keep);

}  // namespace tarsier::tsdb
