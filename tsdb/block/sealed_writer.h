#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/chunk_source.h"
#include "tsdb/block/sealed_columns.h"
#include "tsdb/block/sealed_meta.h"
#include "tsdb/block/sealed_origin.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/index/index_writer.h"

namespace tarsier::tsdb {

/// Where vectors end, as a function of time, so that series scraped together have vectors of the
/// same times: at multiples of `length` after `origin`. Vectors of slow series take several such
/// windows, two by two; those of fast ones end in between.
struct VectorWindows {
  Timestamp origin;
  Duration length = hours(4);
};
/// The ends of the vectors of one run of samples: ascending, the last is times_ms.size(). REQUIRES:
/// times strictly increasing.
std::vector<std::size_t> cut_vectors(std::span<const std::int64_t> times_ms,
                                     const VectorWindows& windows);

/// What one source has of a series.
struct SourceChunks {
  std::size_t source;  ///< Position in SealedMeta::sources.
  std::span<const StoredChunk> chunks;
  std::span<const TimeRange> deleted;
};

/// Writes one sealed block under a temporary name: `create`, `add_series` in label order, `finish`,
/// and, after whoever wrote it has looked whether everything comes back, `publish`. A block that is
/// not published is removed by the destructor, or by the next start. One thread at a time; after an
/// error it is good for nothing but destruction.
class SealedBlockWriter final {
 public:
  /// `meta` gives name, what is replaced and the sources, in order of time and without overlap; the
  /// rest is counted here.
  static Result<std::unique_ptr<SealedBlockWriter>> create(FileSystem& files,
                                                           const std::string& sealed_directory,
                                                           SealedMeta meta, SymbolSet symbols,
                                                           const VectorWindows& windows,
                                                           ColumnProfile profile);
  ~SealedBlockWriter();

  /// `sources` in ascending order, at least one. kInvalid for chunks that overlap or lie outside
  /// their block: such a block stays as it is.
  Status add_series(const Labels& labels, std::span<const SourceChunks> sources);
  /// Writes the rest and syncs all of it.
  Status finish();
  const std::string& temporary_directory() const { return temporary_; }
  Status publish();

 private:
  SealedBlockWriter(FileSystem& files, std::string sealed_directory, SealedMeta meta,
                    const VectorWindows& windows);
  Status add_chunk(const StoredChunk& chunk, ChunkOrigin& origin);
  bool take_floats(const StoredChunk& chunk, ChunkOrigin& origin);
  Status flush_floats();
  Status flush_kept();

  FileSystem& files_;
  const std::string sealed_directory_;
  const std::string temporary_;
  SealedMeta meta_;
  const VectorWindows windows_;
  std::unique_ptr<SealedColumnsWriter> columns_;
  std::unique_ptr<IndexWriter> index_;
  OriginWriter origin_;
  std::vector<SegmentSizes> segments_;  // Of each source.
  Tombstones tombstones_;
  bool is_published_ = false;

  // Of the series being added.
  std::vector<ChunkMeta> metas_;
  SampleColumns floats_;           // Not written yet; or
  std::vector<StoredChunk> kept_;  // chunks not written yet.
  SampleColumns scratch_;
};

}  // namespace tarsier::tsdb
