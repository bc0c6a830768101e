#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block.h"
#include "tsdb/block/block_meta.h"

namespace tarsier::tsdb {

/// One file of a block in a bucket.
struct ThanosFile {
  std::string path;  ///< "chunks/000001", "index".
  std::uint64_t size = 0;
  std::string sha256;  ///< Hex; empty: not told.
};

/// The greatest entries of a block, by which a store gateway sizes its reads.
struct EntrySizes {
  std::uint64_t series_bytes = 0;
  std::uint64_t chunk_bytes = 0;
};
/// Walks the index. `segment_bytes` are the sizes of the chunk files, in order.
Result<EntrySizes> measure_entries(const Block& block,
                                   std::span<const std::uint64_t> segment_bytes);

/// What Thanos adds to the meta.json of a block in a bucket.
struct ThanosSection {
  std::vector<std::pair<std::string, std::string>> labels;  ///< Sorted; external ones.
  std::int64_t resolution_ms = 0;
  std::string source = "sidecar";
  std::vector<ThanosFile> files;  ///< By path, without meta.json, which is added.
  EntrySizes entries;
  Timestamp upload_time;
};
/// The whole meta.json.
std::string format_thanos_meta(const BlockMeta& meta, const ThanosSection& section);

}  // namespace tarsier::tsdb
