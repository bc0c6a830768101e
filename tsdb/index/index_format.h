#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace tarsier::tsdb {

// What the index file consists of (FORMAT.md, "index"):
//   header | symbols | series | postings | postings offset table | TOC

inline constexpr std::string_view kIndexFileName = "index";
inline constexpr std::uint32_t kIndexMagic = 0xBAAAD700;
inline constexpr std::uint8_t kIndexVersion = 2;
inline constexpr std::uint8_t kIndexVersion1 = 1;  ///< Prometheus before 2.2; read only.
inline constexpr std::size_t kIndexHeaderBytes = 5;
inline constexpr std::size_t kIndexTocBytes = 6 * 8 + 4;
/// A series entry begins at a multiple of it, and its reference is the offset divided by it.
inline constexpr std::uint64_t kSeriesAlignment = 16;
inline constexpr std::uint64_t kPostingsAlignment = 4;
inline constexpr std::size_t kCrcBytes = 4;

/// Where a chunk of a series lies and which time it covers. Both ends are times of real samples.
struct ChunkMeta {
  Timestamp min_time;
  Timestamp max_time;     ///< Inclusive.
  std::uint64_t ref = 0;  ///< Segment << 32 | offset (chunk_files.h).

  TimeRange range() const { return {min_time, max_time}; }
  bool operator==(const ChunkMeta&) const = default;
};

}  // namespace tarsier::tsdb
