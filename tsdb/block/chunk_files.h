#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/index/index_format.h"
#include "tsdb/index/output_file.h"

namespace tarsier::tsdb {

inline constexpr std::string_view kChunksDirectoryName = "chunks";

/// One chunk as it lies in a file. Whoever hands it out says how long `data` lives.
struct Chunk {
  ChunkEncoding encoding = ChunkEncoding::kNone;  ///< From a file: may be none of the above.
  Bytes data;
};

/// Writes the chunk segment files of a block, one chunk after the other (FORMAT.md, "chunk segment
/// files"). One thread at a time; after an error it is good for nothing but destruction.
class ChunkFilesWriter final {
 public:
  /// `directory` is the block's; its sub-directory for chunks is created. A segment is ended before
  /// it would exceed `segment_bytes_max`.
  static Result<std::unique_ptr<ChunkFilesWriter>> create(FileSystem& files,
                                                          const std::string& directory,
                                                          std::uint64_t segment_bytes_max);
  /// Returns the chunk's reference: segment << 32 | offset.
  Result<std::uint64_t> append(const Chunk& chunk);
  /// Syncs the last segment and the directory.
  Status finish();

 private:
  ChunkFilesWriter(FileSystem& files, std::string directory, std::uint64_t segment_bytes_max)
      : files_(files), directory_(std::move(directory)), segment_bytes_max_(segment_bytes_max) {}
  Status begin_segment();

  FileSystem& files_;
  const std::string directory_;
  const std::uint64_t segment_bytes_max_;
  std::optional<OutputFile> out_;
  std::uint64_t segment_count_ = 0;
  std::string scratch_;
};

/// Where a reader puts what it read, and how it notices that it is asked for chunks in the order of
/// the file. Reused from call to call and from reader to reader. One per thread.
struct ChunkBuffer {
  std::vector<Chunk> chunks;  ///< What the last read found; the data lies in `bytes`.

  std::string bytes;  ///< Bytes [begin, end) of a segment; may be longer.
  std::uint64_t reader_id = 0;
  std::uint64_t segment = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t ahead_bytes = 0;  ///< How much the next read takes if it goes on where this ended.
};

/// Reads the chunk segment files of a block with pread: single chunks in exact ranges; when a
/// buffer is filled again and again in the order of the file, in ever larger pieces, because a
/// system call costs more than decoding a chunk. Any number of threads, each with its own buffer.
/// Errors are kCorruption or kIo, with file and offset.
class ChunkFilesReader final {
 public:
  static Result<std::unique_ptr<ChunkFilesReader>> open(FileSystem& files,
                                                        const std::string& directory);
  /// Reads the first of `chunks` and as many of its neighbours as lie close enough for one read;
  /// returns how many (at least one) are now in `buffer.chunks`, their checksums verified.
  /// REQUIRES: `chunks` is not empty.
  Result<std::size_t> read(std::span<const ChunkMeta> chunks, ChunkBuffer& buffer) const;
  std::uint64_t size_bytes() const;

 private:
  struct Segment {
    std::string path;
    std::unique_ptr<ReadableFile> file;
  };
  ChunkFilesReader();
  Status load(std::uint64_t segment, std::uint64_t begin, std::uint64_t end,
              ChunkBuffer& buffer) const;

  const std::uint64_t id_;  // Of all readers of the process: buffers outlive readers.
  std::vector<Segment> segments_;
};

}  // namespace tarsier::tsdb
