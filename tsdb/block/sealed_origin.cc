#include "tsdb/block/sealed_origin.h"

#include <fmt/format.h>

#include "base/compression.h"
#include "base/crc32c.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kOriginFileName = "origin";
constexpr std::uint32_t kMagic = 0x7A5E4102;
constexpr std::uint8_t kVersion = 1;
constexpr int kCompressionLevel = 6;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{4} << 30;
constexpr std::uint64_t kEntriesBytesMax = std::uint64_t{4} << 30;
constexpr std::uint64_t kChunksMax = 1 << 24;

std::uint64_t descriptor_of(const ChunkOrigin& chunk) {
  return std::uint64_t{chunk.float_count} << 1 | (chunk.has_surplus_byte ? 1 : 0);
}

}  // namespace

void OriginWriter::add_series(std::size_t source, const std::vector<ChunkOrigin>& chunks) {
  std::string& out = sources_[source];
  put_uvarint(out, chunks.size());
  for (std::size_t begin = 0; begin < chunks.size();) {
    std::size_t end = begin + 1;
    while (end < chunks.size() && chunks[end] == chunks[begin]) ++end;
    put_uvarint(out, end - begin);
    put_uvarint(out, descriptor_of(chunks[begin]));
    begin = end;
  }
}

Status OriginWriter::write(FileSystem& files, const std::string& directory) const {
  std::string file;
  put_be32(file, kMagic);
  put_u8(file, kVersion);
  put_uvarint(file, sources_.size());
  std::string compressed;
  for (const std::string& entries : sources_) {
    zstd_compress(as_bytes(entries), kCompressionLevel, compressed);
    put_uvarint(file, entries.size());
    put_string(file, compressed);
  }
  put_be32(file, crc32c(as_bytes(file)));
  return write_file_atomically(files, join_path(directory, kOriginFileName), file);
}

Result<OriginReader> OriginReader::open(FileSystem& files, const std::string& directory,
                                        std::size_t source) {
  OriginReader reader;
  reader.path_ = join_path(directory, kOriginFileName);
  const std::string file = TRY(read_file(files, reader.path_, kFileBytesMax));
  const auto damaged = [&](std::string_view what) {
    return corruption(fmt::format("{}: {}", reader.path_, what));
  };
  if (file.size() < 4) return damaged("is too short");
  const Bytes checked = as_bytes(file).first(file.size() - 4);
  if (crc32c(checked) != load_be<std::uint32_t>(checked.data() + checked.size())) {
    return damaged("checksum differs");
  }
  ByteReader in(checked);
  const std::uint32_t magic = in.be32();
  const unsigned version = in.u8();
  if (magic != kMagic || version != kVersion) return damaged("is of another format or version");
  const std::uint64_t count = in.uvarint();
  if (source >= count) return damaged("has no such source");
  for (std::size_t i = 0;; ++i) {
    const std::uint64_t size = in.uvarint();
    const std::string_view compressed = in.string();
    if (!in.ok() || size > kEntriesBytesMax) return damaged("ends early");
    if (i < source) continue;
    TRY(zstd_decompress(as_bytes(compressed), static_cast<std::size_t>(size), reader.entries_));
    return reader;
  }
}

Status OriginReader::next(std::vector<ChunkOrigin>& chunks) {
  chunks.clear();
  ByteReader in(as_bytes(entries_).subspan(at_));
  const std::uint64_t count = in.uvarint();
  if (!in.ok() || count > kChunksMax) return corruption(path_ + ": damaged entry");
  while (chunks.size() < count) {
    const std::uint64_t run = in.uvarint();
    const std::uint64_t descriptor = in.uvarint();
    if (!in.ok() || run == 0 || run > count - chunks.size() || descriptor >> 1 > kChunkSamplesMax) {
      return corruption(path_ + ": damaged entry");
    }
    chunks.insert(chunks.end(), static_cast<std::size_t>(run),
                  {static_cast<std::uint32_t>(descriptor >> 1), (descriptor & 1) != 0});
  }
  at_ += in.offset();
  return {};
}

}  // namespace tarsier::tsdb
