#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/time.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/block/shipped_list.h"
#include "tsdb/compaction/backoff.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// Compacts the blocks of one data directory, a group at a time: plan, merge, publish, delete the
/// inputs. Works on files nobody changes and publishes by one rename, so appends and queries never
/// wait for it and a crash leaves either the inputs or the result. Made by the database, driven by
/// its maintenance thread; `cancel` and `collect` from any thread.
class BlockCompaction final {
 public:
  enum class Outcome : unsigned char {
    kNothingDue,
    kDone,  ///< One group; the next may be due.
    kCancelled,
    kFailed,  ///< Reported. Nothing is tried again for some minutes.
  };

  BlockCompaction(FileSystem& files, std::string data_directory, const Options& options,
                  BlockSet& blocks, Logger& log);

  /// Compacts the group that is due, if there is one. `ulid` names the new block. When it fails
  /// because of what the inputs hold, their meta.json says so and they are left alone from then on;
  /// when the disk fails, they are tried again later. When no sample is left, the inputs are marked
  /// deletable and go.
  Outcome run_due(Timestamp now, const Ulid& ulid);
  /// Rewrites every block of which something is deleted. A block without any sample left goes too,
  /// unless it is the newest complete one: it says up to where the log is in blocks. `next_ulid`
  /// names the new blocks.
  Status clean_tombstones(const std::function<Ulid()>& next_ulid);
  /// Blocks that wait for their upload, and all newer ones, are left alone from now on.
  void attach_shipped(const ShippedList* shipped) { shipped_ = shipped; }
  /// Makes a running and every later run_due give up soon.
  void cancel() { cancel_.cancel(); }
  void collect(MetricWriter& out) const;

  /// Compactions of every kind; the database counts the cutting of the head here too.
  struct Metrics {
    Counter compactions;
    Counter vertical;  ///< Of blocks that overlapped.
    Counter failed;
    HistogramMetric seconds{{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}};
    /// Of chunks that come to a block for the first time.
    HistogramMetric chunk_bytes{
        {32, 48, 72, 108, 162, 243, 364.5, 546.75, 820.125, 1230.1875, 1845.28125, 2767.921875}};
    HistogramMetric chunk_samples{{4, 6, 9, 13.5, 20.25, 30.375, 45.5625, 68.34375, 102.515625,
                                   153.7734375, 230.66015625, 345.990234375}};
    /// In milliseconds, as in Prometheus, whatever the name says.
    HistogramMetric chunk_range{
        {100, 400, 1600, 6400, 25600, 102400, 409600, 1638400, 6553600, 26214400}};
    std::atomic<bool> is_populating{false};  ///< A block is being written.
    HistogramMetric cleanup_seconds{{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
  };
  Metrics& metrics() { return metrics_; }
  /// A chunk was cut from the head.
  void note_first(const EncodedChunk& chunk);

 private:
  /// Blocks that are due together. Empty: none.
  BlockList plan() const;
  bool waits_for_upload(const Block& block) const {
    return shipped_ != nullptr && shipped_->is_waiting(block.meta());
  }
  Status compact(const BlockList& inputs, const Ulid& ulid);
  bool holds_horizon(const BlockList& inputs) const;
  Status check_room(const BlockList& inputs) const;
  void mark_failed(const BlockList& inputs);

  FileSystem& files_;
  const std::string data_directory_;
  const std::vector<Duration> ranges_;
  const std::uint64_t segment_bytes_max_;
  const std::uint64_t reserve_bytes_;
  BlockSet& blocks_;
  Logger& log_;
  const ShippedList* shipped_ = nullptr;
  CancelToken cancel_;
  Metrics metrics_;
  Backoff backoff_;
};

}  // namespace tarsier::tsdb
