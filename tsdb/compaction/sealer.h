#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/time.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/sealed_set.h"
#include "tsdb/block/shipped_list.h"
#include "tsdb/compaction/backoff.h"
#include "tsdb/compaction/seal.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// Seals what is old enough, a group of blocks at a time, and keeps what is sealed in order:
///  1. an interchange block that a sealed one contains goes;
///  2. one that overlaps a sealed one (late samples, a block dropped in) is folded into it, as is
///     what was deleted from it, by sealing anew;
///  3. interchange blocks of one aligned window of nine block ranges (18 h) become a sealed one;
///  4. sealed blocks become longer ones, three times as long each time, up to `range_max`.
/// Out-of-order samples of a time the head has still to cut wait, and so does the newest complete
/// block when nothing of it is left: both would change from where a start reads the log.
/// Reads files nobody changes and publishes by one rename, so appends and queries never wait for it
/// and a crash leaves either the inputs or the result. A block that does not come back to the byte
/// is reported once and left as it is. Made by the database, driven by its maintenance thread;
/// `cancel` and `collect` from any thread.
class Sealer final {
 public:
  enum class Outcome : unsigned char { kNothingDue, kDone, kCancelled, kFailed };
  enum class Scope : unsigned char {
    kDue,         ///< What is older than Options::seal_after and complete.
    kEverything,  ///< All there is, whether its window is complete or not.
  };

  Sealer(FileSystem& files, std::string data_directory, const Options& options, BlockSet& blocks,
         SealedSet& sealed, Logger& log);

  /// Does one of the above, if one is due. `newest` is the time of the newest sample anywhere: age
  /// counts from there, so that a directory of old data is not sealed for being old. `next_ulid`
  /// names new blocks.
  Outcome run_due(Timestamp now, Timestamp newest, Scope scope,
                  const std::function<Ulid()>& next_ulid);
  /// Rewrites every sealed block of which something is deleted.
  Status clean_tombstones(const std::function<Ulid()>& next_ulid);
  void cancel() { cancel_.cancel(); }
  /// Blocks that wait for their upload are left alone from now on, and with them their window.
  void attach_shipped(const ShippedList* shipped) { shipped_ = shipped; }
  /// Is told of every series that is in the block being made.
  void attach_progress(std::function<void()> progress) { progress_ = std::move(progress); }
  void collect(MetricWriter& out) const;

 private:
  struct Part;
  struct Fold;
  Outcome finish(Timestamp now, const Status& status, const std::vector<Ulid>& inputs);
  bool is_left_alone(const Ulid& ulid) const { return left_alone_.contains(ulid); }
  bool waits_for_upload(const Block& block) const {
    return shipped_ != nullptr && shipped_->is_waiting(block.meta());
  }
  Timestamp complete_until() const;
  /// Whether `fold` was refused for the horizon.
  bool is_held(const Status& status) const {
    return status.code() == Code::kUnavailable && held_horizon_ == complete_until();
  }

  Status drop_contained();
  BlockList plan_sealing(Timestamp horizon, Scope scope) const;
  SealedBlockList plan_merging(Timestamp horizon, Scope scope) const;
  Fold plan_folding(Timestamp horizon, Scope scope) const;

  Status seal(const BlockList& inputs, const Ulid& ulid, ColumnProfile profile);
  Status merge(const SealedBlockList& inputs, const Ulid& ulid);
  Status fold(const Fold& fold, const std::function<Ulid()>& next_ulid);
  Status take(SealRequest request, const std::vector<std::unique_ptr<ChunkSource>>& sources);
  Status check_room(std::uint64_t input_bytes) const;

  FileSystem& files_;
  const std::string data_directory_;
  const Duration seal_after_;
  const Duration window_;
  const Duration range_max_;
  const std::uint64_t segment_bytes_max_;
  const std::uint64_t reserve_bytes_;
  BlockSet& blocks_;
  SealedSet& sealed_;
  Logger& log_;
  const ShippedList* shipped_ = nullptr;
  CancelToken cancel_;
  std::function<void()> progress_;
  std::set<Ulid> left_alone_;  // Of the maintenance thread.
  /// What holds the horizon was found to have no sample left while it was here. Likewise.
  std::optional<Timestamp> held_horizon_;
  Backoff backoff_;

  struct Metrics {
    Counter runs;
    Counter failed;
    Counter left_alone;
    Counter samples;
    HistogramMetric seconds{{1, 4, 16, 64, 256, 1024, 4096}};
  };
  Metrics metrics_;
};

}  // namespace tarsier::tsdb
