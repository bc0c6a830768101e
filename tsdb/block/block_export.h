#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/chunk_source.h"

namespace tarsier::tsdb {

/// Writes a source as the interchange block it is, under its own name below `data_directory`, and
/// syncs it: the same chunk files, references and meta.json, an index of the same series, and
/// tombstones of what is deleted. kCorruption if a chunk would not lie where it did. A block of
/// that name that is already there is left alone: it can only be the same one.
Status export_block(FileSystem& files, ChunkSource& source, std::uint64_t segment_bytes_max,
                    const std::string& data_directory);

}  // namespace tarsier::tsdb
