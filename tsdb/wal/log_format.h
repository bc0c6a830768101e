#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/appender.h"

namespace tarsier::tsdb {

// The container of the write-ahead log and its checkpoints (FORMAT.md, "Write-ahead log"): numbered
// segment files made of pages, pages made of fragments, records made of one or more fragments.

inline constexpr std::size_t kLogPageBytes = 32768;
/// u8 type and flags, be16 length, be32 CRC-32C of the fragment's bytes.
inline constexpr std::size_t kFragmentHeaderBytes = 7;
/// Plain size of a record, written or read. Ours are a few hundred KiB; a limit is needed because
/// readers hold one record in memory, and positions have 32 bits for the offset in a segment.
inline constexpr std::size_t kLogRecordBytesMax = std::size_t{256} << 20;

/// The low three bits of a fragment's first byte. Stored: never renumber.
enum class FragmentType : std::uint8_t {
  kPageEnd = 0,  ///< The rest of the page is zeros.
  kFull = 1,
  kFirst = 2,
  kMiddle = 3,
  kLast = 4,
};
inline constexpr std::uint8_t kFragmentTypeMask = 0x07;
inline constexpr std::uint8_t kSnappyFlag = 0x08;
inline constexpr std::uint8_t kZstdFlag = 0x10;
inline constexpr std::uint8_t kReservedFlags = 0xE0;

/// A place in the log as one growing number: segment in the high half, offset in its file in the
/// low half.
constexpr LogPosition log_position(std::uint32_t segment, std::uint64_t offset) {
  return {(std::uint64_t{segment} << 32) | offset};
}
constexpr std::uint32_t segment_of(LogPosition position) {
  return static_cast<std::uint32_t>(position.value >> 32);
}
constexpr std::uint64_t offset_of(LogPosition position) { return position.value & 0xFFFFFFFF; }

/// "00000042"
std::string segment_name(std::uint32_t segment);
/// "checkpoint.00000042"
std::string checkpoint_name(std::uint32_t last_segment);
/// The number, if `name` is one that segment_name() (checkpoint_name()) makes.
std::optional<std::uint32_t> parse_segment_name(std::string_view name);
std::optional<std::uint32_t> parse_checkpoint_name(std::string_view name);

/// Numbers of the segments in `directory`, ascending; gaps are not judged here.
Result<std::vector<std::uint32_t>> list_segments(FileSystem& files, const std::string& directory);
/// Number of the newest finished checkpoint in `wal_directory`, if there is one.
Result<std::optional<std::uint32_t>> find_newest_checkpoint(FileSystem& files,
                                                            const std::string& wal_directory);

}  // namespace tarsier::tsdb
