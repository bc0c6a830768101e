#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::tsdb {

// One file of `chunks_head/` (FORMAT.md, "Head chunk files"): a header and entries, one full chunk
// of the head each, in the order they were written.

inline constexpr std::uint32_t kHeadChunksMagic = 0x0130BC91;
inline constexpr std::uint8_t kHeadChunksVersion = 1;
inline constexpr std::size_t kHeadChunksHeaderBytes = 8;
/// In an entry's encoding byte: the chunk holds out-of-order samples. Stored: never change.
inline constexpr std::uint8_t kOutOfOrderFlag = 0x80;
/// be64 series, be64 min time, be64 max time, u8 encoding.
inline constexpr std::size_t kHeadChunkFixedBytes = 25;
inline constexpr std::size_t kHeadChunkCrcBytes = 4;

/// "000001"
std::string head_chunks_file_name(std::uint32_t number);
std::optional<std::uint32_t> parse_head_chunks_file_name(std::string_view name);
void append_head_chunks_header(std::string& out);

/// What stands in front of a chunk's data.
struct HeadChunkHeader {
  std::uint64_t series_ref = 0;
  Timestamp min_time;
  Timestamp max_time;  ///< Inclusive.
  std::uint8_t encoding = 0;
  bool is_out_of_order = false;
};

constexpr std::size_t uvarint_bytes(std::uint64_t v) {
  std::size_t n = 1;
  while (v >= 0x80) {
    v >>= 7;
    ++n;
  }
  return n;
}
/// What an entry with so much data takes.
constexpr std::size_t head_chunk_entry_bytes(std::size_t data_bytes) {
  return kHeadChunkFixedBytes + uvarint_bytes(data_bytes) + data_bytes + kHeadChunkCrcBytes;
}
/// Writes header and length to `entry`; returns where the data goes. REQUIRES: room for
/// head_chunk_entry_bytes(data_bytes).
std::byte* write_head_chunk_header(const HeadChunkHeader& header, std::size_t data_bytes,
                                   std::byte* entry);
/// Writes the checksum behind the data. REQUIRES: the rest of the entry is there.
void write_head_chunk_crc(std::byte* entry, std::size_t data_bytes);

struct HeadChunkEntry {
  HeadChunkHeader header;
  Bytes data;
  std::size_t size = 0;  ///< Of the whole entry.

  const std::byte* begin() const { return data.data() + data.size() + kHeadChunkCrcBytes - size; }
};
/// The entry at the begin of `bytes`, checksum compared. No value where a preallocated tail begins:
/// series, times and encoding all zero. kCorruption otherwise; at the end of a file too, so ask
/// first whether anything is left.
Result<std::optional<HeadChunkEntry>> read_head_chunk(Bytes bytes);

/// Where an entry is, as Prometheus counts: file number << 32 | offset of the entry.
constexpr std::uint64_t head_chunk_ref(std::uint32_t file, std::uint64_t offset) {
  return (std::uint64_t{file} << 32) | offset;
}

}  // namespace tarsier::tsdb
