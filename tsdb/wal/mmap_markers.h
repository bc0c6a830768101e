#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tsdb/appender.h"

namespace tarsier::tsdb {

/// In the write-behind log: every sample of the series before this is in the head chunk at `chunk`
/// (head_chunk_ref) or in an earlier one. 0 says that a first array of samples begins.
struct MmapMarker {
  SeriesRef ref;
  std::uint64_t chunk = 0;
  bool operator==(const MmapMarker&) const = default;
};

/// Appends one record of type kMmapMarkers.
void encode_markers(std::span<const MmapMarker> markers, std::string& out);
/// Replaces what is in `out`; kCorruption, naming the offset, for bytes that are no such record.
Status decode_markers(Bytes record, std::vector<MmapMarker>& out);

}  // namespace tarsier::tsdb
