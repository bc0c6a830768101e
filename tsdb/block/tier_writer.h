#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tsdb/block/sealed_columns.h"
#include "tsdb/block/tier_block.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/index/index_writer.h"

namespace tarsier::tsdb {

/// Writes one downsampled block under a temporary name, which goes with the writer unless it was
/// published. One thread; after an error it is good for nothing but destruction.
class TierWriter final {
 public:
  /// Below `shelf`, which is made if it is not there. `meta` without its counts.
  static Result<std::unique_ptr<TierWriter>> create(FileSystem& files, std::string shelf,
                                                    TierMeta meta, SymbolSet symbols);
  ~TierWriter();

  /// In label order. Of rows and histograms one must be empty; a series without either is left out.
  Status add_series(const Labels& labels, const AggregateRows& rows,
                    std::span<const AnySample> histograms);
  /// What `from` has of that series, but for what is deleted.
  Status copy_series(const TierBlock& from, std::uint32_t ref);
  std::uint64_t series_count() const { return meta_.series_count; }
  /// On the disk when it returns.
  Result<std::shared_ptr<const TierBlock>> publish();

 private:
  TierWriter(FileSystem& files, std::string shelf, TierMeta meta);
  Status begin(SymbolSet symbols);

  FileSystem& files_;
  const std::string shelf_;
  TierMeta meta_;
  const std::string temporary_;
  std::unique_ptr<SealedColumnsWriter> columns_;
  std::unique_ptr<IndexWriter> index_;
  std::vector<ChunkMeta> metas_;
  bool is_published_ = false;
};

}  // namespace tarsier::tsdb
