#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/options.h"
#include "tsdb/wal/log_writer.h"
#include "tsdb/wal/segment_file.h"

namespace tarsier::tsdb {

/// What a write-ahead log tells of itself, under Prometheus' names.
struct LogMetrics {
  HistogramMetric fsync_seconds{
      {0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5}};
  Counter page_flushes;     ///< Writes to a segment file.
  Counter completed_pages;  ///< Pages full or padded.
  Counter record_parts;
  Counter record_part_bytes;
  Counter record_bytes_saved;  ///< By compression.
  Counter writes_failed;
  Counter truncations;         ///< Counted by whoever makes checkpoints.
  Counter truncations_failed;  ///< Likewise.
  Gauge refusing;              ///< 1 while appends are refused because of the disk.
  Gauge segment;
  Gauge storage_bytes;  ///< Whoever adds checkpoints or removes segments adjusts it.
};

/// The write-ahead log of one data directory as its writers see it. Appending encodes into memory
/// and returns a position; one thread, driving `sync_due`, brings everything that has gathered to
/// the disk with one write and one fdatasync and then tells everybody who waits for a position it
/// has passed.
///
/// Promises:
///  1. Records are in the file in the order in which `append` returned. A file holds at all times a
///     prefix of what was appended, so a crash loses a suffix and nothing else.
///  2. When a waiter is told success under WalSync::kCommit, its record survives a power cut; under
///     kInterval and kNone it survives the end of the process. A segment is synced before the next
///     one is begun, whatever the policy.
///  3. While the disk refuses (it is full, a write or sync failed), every append, and every waiter
///     not yet told, gets kUnavailable naming the cause. What had been appended is kept and tried
///     again, ever less often; once it is on the disk, appends are taken again. Only what cannot be
///     made good (a failed sync whose bytes are lost) stops the log until it is opened anew. What
///     was acknowledged stays so (docs/decisions/0010).
///  4. Memory is bounded by `Options::wal_buffer_bytes_max`: beyond it, append gives kUnavailable.
///
/// Any thread may append and wait; one thread at a time calls sync_due, flush, sync and close.
/// Callbacks run outside of the log's lock, which is a leaf: nothing else is locked while it is
/// held.
class GroupCommitLog final {
 public:
  using Callback = std::function<void(Status)>;

  /// Begins a new segment after the last one (or after the newest checkpoint). Makes the segments
  /// that are there durable first, the last by writing it anew: after a process crash they may hold
  /// records only the page cache knows, and what follows them must not outlive them. Creates the
  /// directory if it is missing. REQUIRES: the log was read and, if damaged, repaired.
  static Result<std::unique_ptr<GroupCommitLog>> open(FileSystem& files,
                                                      const std::string& wal_directory,
                                                      const Options& options);
  /// Drops what was not flushed, and the waiters with it: call close() first.
  ~GroupCommitLog();

  /// What records should be encoded with.
  WalCompression compression() const { return options_.wal_compression; }

  /// Puts a record at the end of the log; the position is its end. Costs a checksum and a copy
  /// under the log's lock, no I/O. kUnavailable when the log has failed or is too far behind,
  /// kLimit for a record above kLogRecordBytesMax; then nothing was added. A caller whose own order
  /// must be the log's holds its own lock around this.
  Result<LogPosition> append(const EncodedRecord& record);
  /// All of the records, next to each other, or none.
  Result<LogPosition> append(std::span<const EncodedRecord* const> records);

  /// Calls `done` once when everything up to `position` is as durable as Options::wal_sync demands,
  /// or with the error that stopped the log: at once on this thread if that is decided, else on the
  /// thread that drives the log. Waiters are told in the order of their positions. REQUIRES:
  /// append() returned a position not before this one.
  void when_synced(LogPosition position, Callback done);

  /// Waits until there is something to bring to the disk (a waiter; else bytes or an unsynced write
  /// older than Options::wal_sync_interval) and does it. False once interrupted; what was appended
  /// before is flushed then. A failed log just waits.
  bool sync_due();
  /// Makes the current or the next sync_due return soon, whether or not there is something to do.
  void wake();
  /// Makes the current and every later sync_due return false.
  void interrupt();

  /// Writes what has gathered, and syncs it under WalSync::kCommit. For tests and those with no
  /// thread.
  Status flush();
  /// Writes what has gathered and syncs it, whatever the policy.
  Status sync();
  /// Syncs everything; afterwards append gives kUnavailable.
  Status close();

  /// Everything appended from now on goes to a new segment (unless the current one is empty);
  /// returns its number. Checkpoints want whole segments.
  Result<std::uint32_t> begin_segment();
  /// The segment that is being written; those before it are finished, synced and touched no more.
  std::uint32_t active_segment() const { return active_segment_.load(std::memory_order_acquire); }

  /// End of the last record appended / written to its file / synced.
  LogPosition appended_position() const;
  LogPosition written_position() const;
  LogPosition synced_position() const;
  /// What followers may read: synced, or with WalSync::kNone written.
  LogPosition followable_position() const;

  /// Why appends are refused at the moment; success while they are not.
  Status trouble() const;

  LogMetrics& metrics() { return metrics_; }
  /// `prefix` is what the names of the metrics begin with.
  void collect(MetricWriter& out, std::string_view prefix = "prometheus_tsdb_wal_") const;

 private:
  struct Waiter {
    LogPosition position;
    Callback done;
  };
  enum class Depth : unsigned char { kWrite, kSync };

  GroupCommitLog(std::string directory, const Options& options, std::uint32_t segment,
                 SegmentFile file);

  Status check_room(std::size_t bytes) const REQUIRES_LOCK(mutex_);
  LogPosition acknowledged() const REQUIRES_LOCK(mutex_);
  bool has_work() const REQUIRES_LOCK(mutex_);
  bool is_urgent() const REQUIRES_LOCK(mutex_);
  std::vector<Waiter> take_waiters(LogPosition up_to) REQUIRES_LOCK(mutex_);
  Depth wait_for_work() EXCLUDES_LOCK(mutex_);
  Status flush_to(Depth depth) EXCLUDES_LOCK(mutex_);
  Status flush_once(Depth depth) EXCLUDES_LOCK(mutex_);
  void note_success(std::int64_t start_ms) REQUIRES_LOCK(mutex_);
  void note_failure(const Status& why) REQUIRES_LOCK(mutex_);

  // The flushing thread's.
  Status write_output(Depth depth);
  Status write_run(std::size_t end);
  Status sync_file();

  const std::string directory_;
  const Options options_;
  LogMetrics metrics_;

  std::atomic<std::uint32_t> active_segment_;  // Set by the flushing thread.
  std::atomic<bool> flushing_{false};          // Catches two threads in flush_to; guards nothing.
  // Owned by the flushing thread.
  LogOutput output_;
  std::size_t output_written_ = 0;  // Of output_.bytes.
  std::size_t output_cuts_ = 0;     // Of output_.cuts: those made.
  LogPosition output_end_;
  SegmentFile file_;

  mutable Mutex mutex_;
  CondVar changed_;
  LogWriter writer_ GUARDED_BY(mutex_);
  LogOutput gathered_ GUARDED_BY(mutex_);
  std::size_t flushing_bytes_ GUARDED_BY(mutex_) = 0;
  std::int64_t oldest_unsynced_ms_ GUARDED_BY(mutex_) = 0;  // Monotonic; 0: all is synced.
  LogPosition appended_ GUARDED_BY(mutex_);
  LogPosition written_ GUARDED_BY(mutex_);
  LogPosition synced_ GUARDED_BY(mutex_);
  std::deque<Waiter> waiters_ GUARDED_BY(mutex_);    // By position.
  Status failure_ GUARDED_BY(mutex_);                // Why nothing is written any more.
  Status trouble_ GUARDED_BY(mutex_);                // Why nothing can be written just now ...
  std::int64_t retry_at_ms_ GUARDED_BY(mutex_) = 0;  // ... and when it is tried again.
  std::int64_t retry_pause_ms_ GUARDED_BY(mutex_) = 0;
  bool interrupted_ GUARDED_BY(mutex_) = false;
  bool woken_ GUARDED_BY(mutex_) = false;
};

}  // namespace tarsier::tsdb
