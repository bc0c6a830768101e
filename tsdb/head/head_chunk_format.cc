#include "tsdb/head/head_chunk_format.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kFileNameDigits = 6;

void store_be64(std::byte* at, std::uint64_t v) {
  const std::uint64_t swapped = __builtin_bswap64(v);
  std::memcpy(at, &swapped, sizeof swapped);
}

}  // namespace

std::string head_chunks_file_name(std::uint32_t number) { return fmt::format("{:06}", number); }

std::optional<std::uint32_t> parse_head_chunks_file_name(std::string_view name) {
  if (name.size() < kFileNameDigits) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  if (head_chunks_file_name(number) != name) return std::nullopt;
  return number;
}

void append_head_chunks_header(std::string& out) {
  put_be32(out, kHeadChunksMagic);
  put_u8(out, kHeadChunksVersion);
  out.append(3, '\0');
}

std::byte* write_head_chunk_header(const HeadChunkHeader& header, std::size_t data_bytes,
                                   std::byte* entry) {
  store_be64(entry, header.series_ref);
  store_be64(entry + 8, static_cast<std::uint64_t>(header.min_time.ms));
  store_be64(entry + 16, static_cast<std::uint64_t>(header.max_time.ms));
  const unsigned flag = header.is_out_of_order ? kOutOfOrderFlag : 0u;
  entry[24] = static_cast<std::byte>(header.encoding | flag);
  std::byte* at = entry + kHeadChunkFixedBytes;
  std::size_t left = data_bytes;
  for (; left >= 0x80; left >>= 7) *at++ = static_cast<std::byte>((left & 0x7f) | 0x80);
  *at++ = static_cast<std::byte>(left);
  return at;
}

void write_head_chunk_crc(std::byte* entry, std::size_t data_bytes) {
  const std::size_t covered = head_chunk_entry_bytes(data_bytes) - kHeadChunkCrcBytes;
  const std::uint32_t crc = __builtin_bswap32(crc32c(Bytes(entry, covered)));
  std::memcpy(entry + covered, &crc, sizeof crc);
}

Result<std::optional<HeadChunkEntry>> read_head_chunk(Bytes bytes) {
  ByteReader reader(bytes);
  HeadChunkEntry entry;
  entry.header.series_ref = reader.be64();
  entry.header.min_time = Timestamp{static_cast<std::int64_t>(reader.be64())};
  entry.header.max_time = Timestamp{static_cast<std::int64_t>(reader.be64())};
  const std::uint8_t encoding = reader.u8();
  if (reader.ok() && entry.header.series_ref == 0 && entry.header.min_time.ms == 0 &&
      entry.header.max_time.ms == 0) {
    return std::optional<HeadChunkEntry>();
  }
  entry.header.encoding = encoding & static_cast<std::uint8_t>(~kOutOfOrderFlag);
  entry.header.is_out_of_order = (encoding & kOutOfOrderFlag) != 0;
  entry.data = reader.take(reader.uvarint());
  const std::size_t covered = reader.offset();
  const std::uint32_t stored = reader.be32();
  if (!reader.ok()) return corruption("an entry passes the end of the file");
  const std::uint32_t computed = crc32c(bytes.first(covered));
  if (stored != computed) {
    return corruption(fmt::format("checksum {:08x}, expected {:08x}", stored, computed));
  }
  if (entry.header.min_time > entry.header.max_time) {
    return corruption(
        fmt::format("a chunk from {} to {}", entry.header.min_time.ms, entry.header.max_time.ms));
  }
  entry.size = reader.offset();
  return std::optional(entry);
}

}  // namespace tarsier::tsdb
