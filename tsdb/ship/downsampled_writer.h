#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/compaction/thanos_downsampler.h"
#include "tsdb/index/index_writer.h"
#include "tsdb/index/symbols.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

using ExternalLabels = std::vector<std::pair<std::string, std::string>>;

/// Gives the meta.json of a block in a directory the section that Thanos wants.
Status describe_for_thanos(FileSystem& files, const std::string& directory,
                           const ExternalLabels& labels, Duration resolution, Timestamp now);

/// The name of what `source` becomes: the same every time, so that an export that is repeated finds
/// it.
Ulid downsampled_name(const Ulid& source, Duration resolution);

/// Writes one block of aggregate chunks (FORMAT.md, "Thanos' downsampled block"), published whole.
/// Life: `create`, `add_series` in label order, `finish`. One thread at a time.
class DownsampledWriter final {
 public:
  /// `meta` gives times and compaction of what it is made of; its name is the source's.
  static Result<std::unique_ptr<DownsampledWriter>> create(FileSystem& files,
                                                           const std::string& target,
                                                           const BlockMeta& meta, SymbolSet symbols,
                                                           Duration resolution);

  Duration resolution() const { return resolution_; }
  /// Without chunks it does nothing.
  Status add_series(const Labels& labels, std::span<const AggregateChunk> chunks);
  /// Publishes it, unless there is nothing in it.
  Status finish(const ExternalLabels& labels, Timestamp now);

 private:
  DownsampledWriter(FileSystem& files, std::string target, const BlockMeta& source,
                    Duration resolution);

  FileSystem& files_;
  const std::string target_;
  const Duration resolution_;
  BlockMeta meta_;
  std::string directory_;
  std::string workshop_;
  std::string temporary_;
  std::unique_ptr<ChunkFilesWriter> chunks_;
  std::unique_ptr<IndexWriter> index_;
  std::vector<ChunkMeta> metas_;
};

}  // namespace tarsier::tsdb
