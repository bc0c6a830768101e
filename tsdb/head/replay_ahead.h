#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "tsdb/wal/histogram_record.h"
#include "tsdb/wal/log_reader.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {

/// One record of the log, decoded. Buffers keep their capacity from record to record.
struct DecodedRecord {
  RecordType type = RecordType::kUnknown;
  std::vector<RefSeries> series;
  std::vector<RefSample> samples;
  std::vector<RefMetadata> metadata;
  std::vector<RefTombstone> tombstones;
  mutable std::vector<RefHistogram> histograms;  ///< May be moved out of.
  std::vector<RefExemplar> exemplars;
};

/// Records in log order: enough that handing them over costs nothing.
struct ReplayBatch {
  std::vector<DecodedRecord> records;
  std::size_t count = 0;  ///< Of `records`, the used ones.
  bool is_last = false;
  /// The last record's, unless it is of a checkpoint.
  std::optional<std::uint32_t> segment;
};

/// Reads and decodes a log on a thread of the pool while the caller applies what came before; a few
/// batches ahead at most. Without a pool, or with a busy one, it does the same on the caller's
/// thread. Used by one thread, to the last batch.
class ReplayAhead final {
 public:
  ReplayAhead(std::unique_ptr<LogReader> reader, ThreadPool* pool);
  ~ReplayAhead();

  /// The next batch; lives until the next call. REQUIRES: none before was the last.
  const ReplayBatch& next();
  /// Where the log is damaged, or that it is not, or why the disk failed. A record whose contents
  /// make no sense counts as damage. REQUIRES: the last batch was given out.
  const Result<std::optional<LogDamage>>& outcome() const { return shared_->outcome; }

 private:
  static constexpr std::size_t kBatchesAhead = 4;

  /// Outlives whichever side ends last.
  struct Shared {
    std::unique_ptr<LogReader> reader;
    /// A commit of several records that is being read, whoever reads.
    struct Group {
      std::size_t missing = 0;  ///< Records still to come.
      std::size_t begin = 0;    ///< In the batch.
      std::uint32_t segment = 0;
      LogDamage if_unfinished;
    };
    Group group;
    Result<std::optional<LogDamage>> outcome =
        std::optional<LogDamage>();               // Before the last batch.
    std::array<ReplayBatch, kBatchesAhead> ring;  // From taken to filled the caller's, else ours.
    Mutex mutex;
    CondVar changed;
    std::size_t filled GUARDED_BY(mutex) = 0;
    std::size_t taken GUARDED_BY(mutex) = 0;
  };
  static void fill(Shared& shared, ReplayBatch& batch);
  static void run(Shared& shared);

  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  bool is_ahead_ = false;
  bool has_batch_ = false;
};

}  // namespace tarsier::tsdb
