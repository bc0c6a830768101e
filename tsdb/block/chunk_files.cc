#include "tsdb/block/chunk_files.h"

#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint32_t kMagic = 0x85BD40DD;
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSegmentHeaderBytes = 8;
constexpr std::size_t kLengthBytesMax = 5;
/// Everything around a chunk's data, the length at its longest.
constexpr std::size_t kFrameBytesMax = kLengthBytesMax + 1 + kCrcBytes;

/// How far the last chunk of a read probably reaches: floats are cut at 1024 bytes. A longer one
/// costs a second read.
constexpr std::uint64_t kLikelyChunkBytes = 1024 + kFrameBytesMax;
/// Chunks further apart are read apart; one read is not longer than this many bytes.
constexpr std::uint64_t kGapBytesMax = 64 << 10;
constexpr std::uint64_t kReadBytesMax = 1 << 20;
/// A read that begins at most this far behind the last one's end goes on with it, and takes more
/// than asked for: up to what stays in the second-level cache until it is decoded.
constexpr std::uint64_t kSkipBytesMax = 4 << 10;
constexpr std::uint64_t kAheadBytesMin = 4 << 10;
constexpr std::uint64_t kAheadBytesMax = 64 << 10;
/// No writer comes near: 65535 samples of the widest float chunk are 1.2 MB, and a damaged length
/// must not make us reserve gigabytes.
constexpr std::uint64_t kDataBytesMax = 64 << 20;

std::uint64_t segment_of(std::uint64_t ref) { return ref >> 32; }
std::uint64_t offset_of(std::uint64_t ref) { return ref & 0xFFFFFFFFu; }

/// The length field at the begin of `bytes`, and how long that is itself.
struct Length {
  std::uint64_t data_bytes = 0;
  std::size_t field_bytes = 0;
};
std::optional<Length> read_length(Bytes bytes) {
  ByteReader reader(bytes);
  Length length;
  length.data_bytes = reader.uvarint();
  length.field_bytes = reader.offset();
  if (!reader.ok() || length.field_bytes > kLengthBytesMax || length.data_bytes > kDataBytesMax) {
    return std::nullopt;
  }
  return length;
}

/// A plain counter: nothing is published through it.
std::uint64_t next_reader_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Result<std::unique_ptr<ChunkFilesWriter>> ChunkFilesWriter::create(
    FileSystem& files, const std::string& directory, std::uint64_t segment_bytes_max) {
  const std::string chunks = join_path(directory, kChunksDirectoryName);
  TRY(files.create_directories(chunks));
  return std::unique_ptr<ChunkFilesWriter>(
      new ChunkFilesWriter(files, chunks, std::min(segment_bytes_max, std::uint64_t{1} << 32)));
}

Status ChunkFilesWriter::begin_segment() {
  if (out_) TRY(out_->sync());
  ++segment_count_;
  const std::string path = join_path(directory_, fmt::format("{:06}", segment_count_));
  out_ = TRY(OutputFile::create(files_, path));
  std::string header;
  put_be32(header, kMagic);
  put_u8(header, kVersion);
  header.append(3, '\0');
  return out_->append(header);
}

Result<std::uint64_t> ChunkFilesWriter::append(const Chunk& chunk) {
  CHECK(chunk.data.size() <= kDataBytesMax);
  // Accounted at the longest length field, as Prometheus does. An empty segment takes any chunk.
  const std::uint64_t bytes = kFrameBytesMax + chunk.data.size();
  if (!out_ ||
      (out_->offset() + bytes > segment_bytes_max_ && out_->offset() > kSegmentHeaderBytes)) {
    TRY(begin_segment());
  }
  const std::uint64_t ref = (segment_count_ - 1) << 32 | out_->offset();
  std::string& frame = scratch_;
  frame.clear();
  put_uvarint(frame, chunk.data.size());
  const std::size_t checked_from = frame.size();
  put_u8(frame, static_cast<std::uint8_t>(chunk.encoding));
  frame += as_text(chunk.data);
  put_be32(frame, crc32c(as_bytes(frame).subspan(checked_from)));
  TRY(out_->append(frame));
  return ref;
}

Status ChunkFilesWriter::finish() {
  if (out_) TRY(out_->sync());
  return files_.sync_directory(directory_);
}

ChunkFilesReader::ChunkFilesReader() : id_(next_reader_id()) {}

Result<std::unique_ptr<ChunkFilesReader>> ChunkFilesReader::open(FileSystem& files,
                                                                 const std::string& directory) {
  std::unique_ptr<ChunkFilesReader> reader(new ChunkFilesReader());
  const std::string chunks = join_path(directory, kChunksDirectoryName);
  // A segment's number in references is its place in the sorted listing, whatever its name says.
  for (const DirectoryEntry& entry : TRY(files.list(chunks))) {
    const bool is_number =
        !entry.name.empty() && entry.name.find_first_not_of("0123456789") == std::string::npos;
    if (entry.is_directory || !is_number) continue;
    std::string path = join_path(chunks, entry.name);
    auto file = TRY(files.open_readable(path, Access::kRead));
    std::byte header[kSegmentHeaderBytes] = {};
    if (file->size() < sizeof header) {
      return corruption(fmt::format("{}: {} bytes, want a header of 8", path, file->size()));
    }
    TRY(file->read_at(0, header));
    const auto magic = load_be<std::uint32_t>(header);
    const auto version = static_cast<unsigned>(header[4]);
    if (magic != kMagic || version != kVersion) {
      return corruption(fmt::format("{}: magic {:08x} version {}, want {:08x} and 1", path, magic,
                                    version, kMagic));
    }
    reader->segments_.push_back({std::move(path), std::move(file)});
  }
  return reader;
}

/// Fills `buffer` from `begin` at least to `end`.
Status ChunkFilesReader::load(std::uint64_t segment, std::uint64_t begin, std::uint64_t end,
                              ChunkBuffer& buffer) const {
  const bool goes_on = buffer.reader_id == id_ && buffer.segment == segment &&
                       begin > buffer.begin && begin <= buffer.end + kSkipBytesMax;
  buffer.ahead_bytes =
      goes_on ? std::clamp(buffer.ahead_bytes * 2, kAheadBytesMin, kAheadBytesMax) : 0;
  end = std::min(std::max(end, begin + buffer.ahead_bytes), segments_[segment].file->size());
  const auto size = static_cast<std::size_t>(end - begin);
  if (buffer.bytes.size() < size) buffer.bytes.resize(size);
  buffer.reader_id = 0;  // Whatever it held is lost, should the read fail.
  TRY(segments_[segment].file->read_at(
      begin, std::as_writable_bytes(std::span(buffer.bytes)).first(size)));
  buffer.reader_id = id_;
  buffer.segment = segment;
  buffer.begin = begin;
  buffer.end = end;
  return {};
}

Result<std::size_t> ChunkFilesReader::read(std::span<const ChunkMeta> chunks,
                                           ChunkBuffer& buffer) const {
  CHECK(!chunks.empty());
  buffer.chunks.clear();
  const std::uint64_t segment = segment_of(chunks.front().ref);
  if (segment >= segments_.size()) {
    return corruption(fmt::format("chunk reference {:x}: there are {} segment files",
                                  chunks.front().ref, segments_.size()));
  }
  const std::uint64_t file_bytes = segments_[segment].file->size();
  const auto damaged = [&](std::uint64_t offset, std::string_view what) {
    return corruption(fmt::format("{}: offset {}: {}", segments_[segment].path, offset, what));
  };
  const std::uint64_t begin = offset_of(chunks.front().ref);
  if (begin < kSegmentHeaderBytes || begin >= file_bytes) {
    return damaged(begin, fmt::format("a chunk cannot be there in {} bytes", file_bytes));
  }
  std::size_t count = 1;
  std::uint64_t last = begin;
  for (; count < chunks.size(); ++count) {
    const std::uint64_t next = offset_of(chunks[count].ref);
    if (segment_of(chunks[count].ref) != segment || next <= last || next - last > kGapBytesMax ||
        next - begin > kReadBytesMax || next >= file_bytes) {
      break;
    }
    last = next;
  }
  const bool is_there = buffer.reader_id == id_ && buffer.segment == segment &&
                        buffer.begin <= begin && begin < buffer.end;
  if (!is_there) TRY(load(segment, begin, last + kLikelyChunkBytes, buffer));
  for (std::size_t i = 0; i < count;) {
    const std::uint64_t offset = offset_of(chunks[i].ref);
    const Bytes there = offset < buffer.end
                            ? as_bytes(buffer.bytes)
                                  .subspan(static_cast<std::size_t>(offset - buffer.begin),
                                           static_cast<std::size_t>(buffer.end - offset))
                            : Bytes();
    // A length that was cut off by the end of the buffer is no damage yet.
    const std::optional<Length> length = read_length(there);
    const bool is_cut = there.size() < kLengthBytesMax && buffer.end < file_bytes;
    if (!length && !is_cut) return damaged(offset, "damaged chunk length");
    const std::uint64_t frame_bytes =
        length ? length->field_bytes + 1 + length->data_bytes + kCrcBytes : kLikelyChunkBytes;
    if (length && frame_bytes > file_bytes - offset) {
      return damaged(offset, fmt::format("a chunk of {} bytes passes the end of the file",
                                         length->data_bytes));
    }
    if (!length || frame_bytes > there.size()) {
      if (i > 0) return i;  // The next read begins with it.
      const std::uint64_t end = std::max(offset + frame_bytes, last + kLikelyChunkBytes);
      TRY(load(segment, offset, end, buffer));
      continue;
    }
    const Bytes checked =
        there.subspan(length->field_bytes, static_cast<std::size_t>(1 + length->data_bytes));
    const auto stored = load_be<std::uint32_t>(checked.data() + checked.size());
    if (const std::uint32_t crc = crc32c(checked); crc != stored) {
      return damaged(offset, fmt::format("chunk checksum {:08x}, stored {:08x}", crc, stored));
    }
    buffer.chunks.push_back({static_cast<ChunkEncoding>(checked[0]), checked.subspan(1)});
    ++i;
  }
  return count;
}

std::uint64_t ChunkFilesReader::size_bytes() const {
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.file->size();
  return bytes;
}

}  // namespace tarsier::tsdb
