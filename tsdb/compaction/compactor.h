#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/block.h"
#include "tsdb/block/ulid.h"

namespace tarsier::tsdb {

/// Merges blocks into one, which names them as its parents (so the next BlockSet::reload removes
/// them) and is written to `data_directory` as `ulid`. Chunks that overlap no other and lose no
/// sample are copied as they are; others are decoded, merged and encoded again, 120 samples to a
/// chunk; of two samples at one time that of the earlier input stays. Deleted samples are left out.
/// No value when no sample is left: the inputs may be deleted then. kInvalid for chunks of unknown
/// encodings; kCorruption for damage; kCancelled when
/// `cancel` (may be null) fires. Memory: the symbols of all inputs, four bytes a series, and one
/// series at a time. REQUIRES: at least one input.
Result<std::optional<BlockMeta>> compact_blocks(FileSystem& files,
                                                const std::string& data_directory,
                                                const BlockList& inputs, const Ulid& ulid,
                                                std::uint64_t segment_bytes_max,
                                                const CancelToken* cancel);

}  // namespace tarsier::tsdb
