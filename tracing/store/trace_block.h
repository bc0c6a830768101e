#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/time.h"
#include "tracing/store/block_summary.h"
#include "tracing/store/group_format.h"
#include "tracing/store/group_rows.h"
#include "tracing/store/group_writer.h"
#include "tracing/trace_id.h"

namespace tarsier::tracing {

// Immutable blocks of traces: one file each (FORMAT.md, "Block").

/// Where a trace lies in a block.
struct TracePlace {
  TraceId id;
  std::uint32_t group = 0;
  std::uint32_t ordinal = 0;  ///< Among the group's traces.
};

/// A part of the file with its checksum.
struct BlockSection {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t raw_size = 0;  ///< Decompressed.
  std::uint32_t crc = 0;
};

/// A page of the sorted list of trace ids.
struct IdPage {
  TraceId first;
  std::uint32_t crc = 0;
};

struct TraceBlockMeta {
  std::uint64_t sequence = 0;           ///< Also its name; grows with every block written.
  std::uint64_t log_segment_max = 0;    ///< The log's segments up to this one are in blocks.
  std::vector<std::uint64_t> replaces;  ///< Blocks whose traces are in here.
  Timestamp filed_min{0};               ///< When its traces were kept.
  Timestamp filed_max{0};
  std::uint64_t start_min_ns = 0;
  std::uint64_t end_max_ns = 0;
  std::uint64_t row_count = 0;
  std::uint64_t trace_count = 0;
  std::vector<GroupInfo> groups;
  std::uint64_t ids_offset = 0;
  std::vector<IdPage> id_pages;
  std::string id_filter;
  std::vector<TraceId> late;  ///< Traces that have spans in older blocks too. Sorted.
  BlockSection summary;
};

void encode_block_meta(const TraceBlockMeta& meta, std::string& out);
Result<TraceBlockMeta> decode_block_meta(std::string_view bytes);

/// Writes one block. Nothing of it can be seen before finish().
class TraceBlockWriter final {
 public:
  /// Groups go to a temporary file in `directory`.
  static Result<std::unique_ptr<TraceBlockWriter>> create(FileSystem& files, std::string directory,
                                                          std::uint64_t sequence);
  /// `ids` are the group's traces in their order; `bytes` and `info` are as encode_group() made
  /// them or as they were read from another block.
  Status add_group(std::string_view bytes, GroupInfo info, const std::vector<TraceId>& ids);
  std::uint64_t group_count() const { return meta_.groups.size(); }
  /// Publishes the block. `wanted` gives what the groups do not: segment, replaced, filed times and
  /// late traces. Gives the path.
  Result<std::string> finish(const TraceBlockMeta& wanted, const BlockSummary& summary);

 private:
  TraceBlockWriter(FileSystem& files, std::string directory) noexcept
      : files_(files), directory_(std::move(directory)) {}
  Status append(std::string_view bytes);

  FileSystem& files_;
  const std::string directory_;
  std::string temporary_;
  std::unique_ptr<WritableFile> file_;
  std::uint64_t offset_ = 0;
  TraceBlockMeta meta_;
  std::vector<TracePlace> places_;
};

/// A block that is open for reading. Immutable: any number of threads.
class TraceBlock final {
 public:
  /// kCorruption naming the file when it is no whole block.
  static Result<std::shared_ptr<const TraceBlock>> open(FileSystem& files, std::string path);

  const TraceBlockMeta& meta() const { return meta_; }
  const std::string& path() const { return path_; }
  std::uint64_t size() const { return file_->size(); }

  /// Cheap and without the disk: false means the trace is not here.
  bool may_hold(TraceId id) const;
  /// All places of a trace (its parts may be in several groups).
  Result<std::vector<TracePlace>> find(TraceId id) const;
  Result<std::vector<TracePlace>> all_places() const;
  Result<BlockSummary> summary() const;
  /// Bytes of the file; for groups.
  Result<std::string> read(std::uint64_t offset, std::uint64_t size) const;

 private:
  TraceBlock(std::string path, std::unique_ptr<ReadableFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  Result<std::vector<TracePlace>> page(std::size_t index) const;

  const std::string path_;
  const std::unique_ptr<ReadableFile> file_;
  TraceBlockMeta meta_;
};

/// The name of a block's file, and the sequence a name stands for.
std::string block_file_name(std::uint64_t sequence);
std::optional<std::uint64_t> block_sequence_of(std::string_view file_name);

}  // namespace tarsier::tracing
