#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/ulid.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {

/// Where late samples are cut to.
struct LateCut {
  std::string data_directory;
  Duration block_range;  ///< Length and alignment of blocks.
  std::uint64_t segment_bytes_max = 0;
  std::function<Ulid()> next_ulid;
  std::function<void(const BlockMeta&)> written;  ///< Told of every block.
};

/// Writes the samples of frozen epochs as blocks of level 1, one for every aligned range that has
/// any, with the hint that says they are not all there is of their time. They overlap other blocks,
/// which compaction then merges. `done_until` is where to begin, and where an attempt that failed
/// got to: the ranges before it have their blocks. Commits and queries go on meanwhile. Epochs that
/// are not frozen are copied, each series at a moment of its own.
Status cut_late_blocks(Head& head, const Head::LateEpochs& epochs, FileSystem& files,
                       const LateCut& cut, Timestamp& done_until);

}  // namespace tarsier::tsdb
