#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/exemplar.h"
#include "tsdb/maintenance.h"
#include "tsdb/matcher.h"
#include "tsdb/options.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

class Opening;
class WalFollower;
struct FollowerOptions;

/// What /api/v1/status/tsdb shows: the head's size, and the ten (or `limit`) biggest of each kind.
struct HeadStatistics {
  struct Entry {
    std::string name;
    std::uint64_t value = 0;
  };
  std::uint64_t series_count = 0;
  std::uint64_t label_pair_count = 0;
  std::uint64_t chunk_count = 0;
  Timestamp min_time = kMaxTimestamp;  ///< kMaxTimestamp while the head is empty.
  Timestamp max_time = kMinTimestamp;
  std::vector<Entry> series_count_by_metric_name;
  std::vector<Entry> label_value_count_by_label_name;
  std::vector<Entry> memory_bytes_by_label_name;
  std::vector<Entry> series_count_by_label_pair;  ///< Entry name is "name=value".

  // Compared with a day ago, or with the start if that is later.
  Timestamp growth_since = kMaxTimestamp;  ///< kMaxTimestamp: there is nothing to compare with yet.
  std::uint64_t series_count_before = 0;
  std::uint64_t series_created = 0;  ///< Since then, gone ones included.
  std::vector<Entry> growth_by_metric_name;
};

/// What a user wants to know of one block on disk.
struct BlockSummary {
  std::string ulid;
  Timestamp min_time;
  Timestamp max_time;  ///< Exclusive, as in meta.json.
  std::uint64_t sample_count = 0;
  std::uint64_t series_count = 0;
  std::uint64_t chunk_count = 0;
  std::uint64_t bytes = 0;
  int compaction_level = 1;
};

/// What compacting everything did to blocks of all kinds.
struct CompactionReport {
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  std::uint64_t samples_before = 0;
  std::uint64_t samples_after = 0;  ///< Less than before where blocks overlapped.
  std::uint64_t bytes_downsampled = 0;
  std::uint64_t failures = 0;  ///< Blocks left as they were, reported in the log.
};

/// One data directory: write-ahead log, head and blocks, byte-compatible with Prometheus
/// (FORMAT.md). Opened by `server`, which also drives it: `sync_due` on a thread of its own,
/// `run_due` on the maintenance thread. Appenders and queriers come from any thread and must all be
/// gone before it is destroyed. A data directory is used by one process at a time (`lock`).
class Db final : public Queryable {
 public:
  /// Takes the lock, removes unfinished work, opens the blocks (a damaged one is moved aside
  /// and reported, the rest serves), replays the log (a torn tail is repaired and reported). `pool`
  /// and `opening` may be null.
  static Result<std::unique_ptr<Db>> open(FileSystem& files, const std::string& directory,
                                          const Options& options, Logger& log, ThreadPool* pool,
                                          Opening* opening = nullptr);
  ~Db() override;

  std::unique_ptr<Appender> appender();
  Result<std::unique_ptr<Querier>> querier(TimeRange range) override;
  const ChangeLog* changes() const override;

  /// Calls `done` once everything up to `position` is as durable as `Options::wal_sync` demands, or
  /// with the error that stopped the log. `done` runs on the thread that drives `sync_due`, or at
  /// once on the caller's.
  void when_synced(LogPosition position, std::function<void(Status)> done);

  /// Writes and syncs what is waiting. Blocks until there is something to do, or until
  /// `interrupt_sync`. Runs in a loop on one thread; returns false once the database is closing.
  bool sync_due();
  /// Makes the current and every later `sync_due` return false after it has written what was
  /// waiting.
  void interrupt_sync();

  /// Cuts due blocks from the head, trims the log, looks for blocks that appeared, applies
  /// retention, compacts one group of blocks. Errors are reported and tried again. Says when to
  /// call again.
  Timestamp run_due(Timestamp now);
  /// Brings full chunks of the head from memory to files, and the head to an image, when they are
  /// due. Says when to call again. On the thread of `run_due`.
  Timestamp write_head_chunks_due(Timestamp now);
  /// Options::out_of_order_time_window from now on. From any thread.
  Status set_out_of_order_time_window(Duration window);
  /// Whether blocks are worked on in the background (compaction, sealing, downsampling, retention);
  /// what is being done is finished first. From any thread, as the next.
  void pause_maintenance(bool is_paused);
  MaintenanceStatus maintenance() const;
  /// Makes a running `run_due` give up what may take minutes (compaction), and later ones not begin
  /// it. From any thread.
  void interrupt_maintenance();
  // Administration: on the thread of run_due, while appends and queries go on.

  /// Deletes the samples within `range` that every series passing all `matchers` has now. Gone for
  /// every querier made from now on; lasting once the log is synced up to the position. After an
  /// error some of them may be gone.
  Result<LogPosition> delete_series(const std::vector<Matcher>& matchers, TimeRange range);
  /// Writes every block with deleted samples anew, without them.
  Status clean_tombstones(Timestamp now);
  enum class SnapshotScope : unsigned char { kEverything, kBlocksOnly };
  /// Puts the blocks, and the head as one more, into `snapshots/<name>`, and returns the name. The
  /// files of blocks are shared, so it costs no space while they live.
  Result<std::string> snapshot(Timestamp now, SnapshotScope scope);

  /// Opens a follower of the log (wal_follower.h); it must be gone before this is. From any thread,
  /// as the next two; a name is used by one follower at a time.
  Result<std::unique_ptr<WalFollower>> follow(FollowerOptions options);
  /// Names of followers whose positions are stored, open or not, sorted.
  Result<std::vector<std::string>> stored_followers() const;
  /// Removes the stored position of a follower that is not open.
  Status forget_follower(const std::string& name);

  /// Cuts the whole head, compacts and seals everything, now: for operators and measurements. First
  /// begin; when the log is synced up to the position, the rest, which may take minutes.
  /// kUnavailable if it is not: begin again. The result is on the disk. Samples up to half a block
  /// range behind the cut are taken as late ones for as long.
  LogPosition begin_compacting_everything(Timestamp now);
  Result<CompactionReport> compact_everything(Timestamp now);

  /// Stops the log cleanly: everything written and synced. Call after the last appender is gone.
  Status close();

  /// Whether the process has used up its memory: while it has, no new series are taken. From any
  /// thread.
  void set_memory_is_full(bool is_full);

  HeadStatistics head_statistics(std::size_t limit) const;
  std::vector<BlockSummary> blocks() const;
  /// Metadata of the head's series by metric name, for /api/v1/metadata: name, then every distinct
  /// entry.
  std::vector<std::pair<std::string, Metadata>> metadata() const;
  /// The stored exemplars in `range` (both ends inclusive) of the series that pass all matchers of
  /// one of `selectors`, by series labels and time.
  std::vector<SeriesExemplars> exemplars(const std::vector<std::vector<Matcher>>& selectors,
                                         TimeRange range) const;
  /// As Options::exemplars_max; the newest that fit stay. From any thread.
  void set_exemplars_max(std::size_t exemplars_max);
  /// Milliseconds since epoch of the oldest sample anywhere; kMaxTimestamp when empty.
  Timestamp oldest_time() const;
  /// Of the newest sample in memory; kMinTimestamp when there is none.
  Timestamp newest_time() const;
  void collect(MetricWriter& out) const;

 private:
  struct Impl;
  explicit Db(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::tsdb
