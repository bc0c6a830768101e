#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "tracing/store/trace_block.h"

namespace tarsier::tracing {

struct MergeWanted {
  std::size_t count = 8;  ///< Neighbours of one size class.
  std::uint64_t bytes_max = 0;
  std::set<std::uint64_t> left_alone = {};  ///< Sequences of blocks that are not merged.
};

/// Indexes of neighbouring blocks to merge into one; empty when there is nothing to do. Blocks are
/// of one class when their sizes differ by less than a factor of `count`.
std::vector<std::size_t> blocks_to_merge(
    const std::vector<std::shared_ptr<const TraceBlock>>& blocks, const MergeWanted& wanted);

/// Writes one block with everything of the sources. Full groups are copied as they are; small ones,
/// and those with a trace that has parts in several groups, are encoded anew with its parts united.
Result<std::shared_ptr<const TraceBlock>> merge_trace_blocks(
    FileSystem& files, const std::string& directory, std::uint64_t sequence,
    const std::vector<std::shared_ptr<const TraceBlock>>& sources, std::uint32_t group_rows);

}  // namespace tarsier::tracing
