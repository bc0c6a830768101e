#include "tsdb/wal/mmap_markers.h"

#include <string>

#include "tsdb/wal/record.h"

namespace tarsier::tsdb {

void encode_markers(std::span<const MmapMarker> markers, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(RecordType::kMmapMarkers));
  for (const MmapMarker& marker : markers) {
    put_be64(out, marker.ref.value);
    put_be64(out, marker.chunk);
  }
}

Status decode_markers(Bytes record, std::vector<MmapMarker>& out) {
  out.clear();
  ByteReader reader(record);
  if (reader.u8() != static_cast<std::uint8_t>(RecordType::kMmapMarkers) || !reader.ok()) {
    return corruption("marker record: wrong type");
  }
  while (!reader.empty()) {
    const std::size_t at = reader.offset();
    MmapMarker marker;
    marker.ref.value = reader.be64();
    marker.chunk = reader.be64();
    if (!reader.ok())
      return corruption("marker record: ends inside the entry at " + std::to_string(at));
    out.push_back(marker);
  }
  return {};
}

}  // namespace tarsier::tsdb
