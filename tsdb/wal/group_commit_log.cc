#include "tsdb/wal/group_commit_log.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

/// Gathered bytes beyond this are brought to the disk although nobody waits for them yet.
constexpr std::size_t kWorthWritingBytes = std::size_t{4} << 20;
/// A buffer that had to grow beyond this in a bad moment is given back.
constexpr std::size_t kKeptCapacityBytes = std::size_t{16} << 20;
/// How long a disk that refused is left alone: at first, and at most.
constexpr std::int64_t kRetryPauseMinMs = 100;
constexpr std::int64_t kRetryPauseMaxMs = 5000;

/// A stopwatch for the sync interval and the sync metric; starts above 0, never goes back.
std::int64_t monotonic_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}
std::int64_t monotonic_ms() { return monotonic_us() / 1000 + 1; }

/// The first segment number that neither a segment nor a checkpoint has used.
Result<std::uint32_t> next_segment(FileSystem& files, const std::string& directory,
                                   const std::vector<std::uint32_t>& segments) {
  std::uint32_t next = segments.empty() ? 0 : segments.back() + 1;
  const auto checkpoint = TRY(find_newest_checkpoint(files, directory));
  if (checkpoint) next = std::max(next, *checkpoint + 1);
  return next;
}

Result<std::uint64_t> directory_bytes(FileSystem& files, const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    const std::string path = join_path(directory, entry.name);
    bytes += entry.is_directory ? TRY(directory_bytes(files, path))
                                : TRY(files.open_readable(path, Access::kRead))->size();
  }
  return bytes;
}

}  // namespace

Result<std::unique_ptr<GroupCommitLog>> GroupCommitLog::open(FileSystem& files,
                                                             const std::string& wal_directory,
                                                             const Options& options) {
  TRY(files.create_directories(wal_directory));
  TRY(files.sync_directory(parent_path(wal_directory)));
  const std::vector<std::uint32_t> segments = TRY(list_segments(files, wal_directory));
  TRY(make_segments_durable(files, wal_directory, segments));
  // Prometheus' shortcut for its next start; with our records behind it, it would hand out series
  // numbers a second time.
  const std::string series_state = join_path(wal_directory, "series_state.json");
  if (files.exists(series_state)) TRY(files.remove_file(series_state));
  TRY(remove_unfinished_segments(files, wal_directory));
  const std::uint64_t bytes = TRY(directory_bytes(files, wal_directory));
  const std::uint32_t segment = TRY(next_segment(files, wal_directory, segments));
  // Under kNone a segment is synced only at its end: too much to keep.
  const KeepTail keep_tail = options.wal_sync == WalSync::kNone ? KeepTail::kNo : KeepTail::kYes;
  SegmentFile file = TRY(SegmentFile::open(files, wal_directory, segment, keep_tail));
  std::unique_ptr<GroupCommitLog> log(
      new GroupCommitLog(wal_directory, options, segment, std::move(file)));
  log->metrics_.storage_bytes.set(static_cast<double>(bytes));
  return log;
}

GroupCommitLog::GroupCommitLog(std::string directory, const Options& options, std::uint32_t segment,
                               SegmentFile file)
    : directory_(std::move(directory)),
      options_(options),
      active_segment_(segment),
      file_(std::move(file)),
      writer_(segment, options.wal_segment_bytes),
      appended_(log_position(segment, 0)),
      written_(appended_),
      synced_(appended_) {
  metrics_.segment.set(segment);
}

GroupCommitLog::~GroupCommitLog() = default;

Status GroupCommitLog::check_room(std::size_t bytes) const {
  if (!failure_.ok()) return failure_;
  if (!trouble_.ok()) return trouble_;
  const std::size_t waiting_bytes = gathered_.bytes.size() + flushing_bytes_;
  // An empty buffer takes any record: one above the limit must be possible.
  if (waiting_bytes > 0 && waiting_bytes + bytes > options_.wal_buffer_bytes_max) {
    return unavailable("write-ahead log is behind: " + std::to_string(waiting_bytes) +
                       " bytes wait for the disk");
  }
  return {};
}

Result<LogPosition> GroupCommitLog::append(const EncodedRecord& record) {
  const EncodedRecord* const one = &record;
  return append(std::span(&one, 1));
}

Result<LogPosition> GroupCommitLog::append(std::span<const EncodedRecord* const> records) {
  std::size_t stored_bytes = 0;
  std::size_t plain_bytes = 0;
  for (const EncodedRecord* record : records) {
    if (record->plain_bytes() > kLogRecordBytesMax) {
      return limit_exceeded("write-ahead log: a record of " +
                            std::to_string(record->plain_bytes()) + " bytes, at most " +
                            std::to_string(kLogRecordBytesMax) + " allowed");
    }
    stored_bytes += record->stored().size();
    plain_bytes += record->plain_bytes();
  }
  LogPosition end;
  bool wakes = false;
  {
    const MutexLock lock(mutex_);
    TRY(check_room(stored_bytes));
    const bool was_large = gathered_.bytes.size() >= kWorthWritingBytes;
    // A group that ends within a segment is known to be whole or not.
    if (records.size() > 1) writer_.make_room(records.size(), stored_bytes, gathered_);
    for (const EncodedRecord* record : records) appended_ = writer_.append(*record, gathered_);
    end = appended_;
    if (oldest_unsynced_ms_ == 0) {
      oldest_unsynced_ms_ = monotonic_ms();
      wakes = true;  // So that the timer runs.
    }
    wakes |= !was_large && gathered_.bytes.size() >= kWorthWritingBytes;
  }
  if (wakes) changed_.notify_one();
  metrics_.record_bytes_saved.add(plain_bytes - stored_bytes);
  return end;
}

Result<std::uint32_t> GroupCommitLog::begin_segment() {
  bool wakes = false;
  std::uint32_t segment = 0;
  {
    const MutexLock lock(mutex_);
    TRY(Status(failure_));
    TRY(Status(trouble_));
    writer_.cut(gathered_);
    segment = segment_of(writer_.position());
    wakes = oldest_unsynced_ms_ == 0;
    if (wakes) oldest_unsynced_ms_ = monotonic_ms();
  }
  if (wakes) changed_.notify_one();
  return segment;
}

LogPosition GroupCommitLog::acknowledged() const {
  return options_.wal_sync == WalSync::kCommit ? synced_ : written_;
}

void GroupCommitLog::when_synced(LogPosition position, Callback done) {
  Status outcome;
  {
    const MutexLock lock(mutex_);
    CHECK(position <= appended_, std::to_string(position.value) + " was not appended, only " +
                                     std::to_string(appended_.value));
    if (position > acknowledged()) {
      if (failure_.ok() && trouble_.ok()) {
        const auto place = std::upper_bound(
            waiters_.begin(), waiters_.end(), position,
            [](LogPosition p, const Waiter& waiter) { return p < waiter.position; });
        waiters_.insert(place, {position, std::move(done)});
        if (waiters_.size() == 1) changed_.notify_one();
        return;
      }
      outcome = failure_.ok() ? trouble_ : failure_;
    }
  }
  done(std::move(outcome));
}

std::vector<GroupCommitLog::Waiter> GroupCommitLog::take_waiters(LogPosition up_to) {
  std::vector<Waiter> taken;
  while (!waiters_.empty() && waiters_.front().position <= up_to) {
    taken.push_back(std::move(waiters_.front()));
    waiters_.pop_front();
  }
  return taken;
}

bool GroupCommitLog::has_work() const {
  return failure_.ok() && (!trouble_.ok() || oldest_unsynced_ms_ != 0 || !waiters_.empty());
}

bool GroupCommitLog::is_urgent() const {
  return !waiters_.empty() || gathered_.bytes.size() >= kWorthWritingBytes;
}

GroupCommitLog::Depth GroupCommitLog::wait_for_work() {
  const MutexLock lock(mutex_);
  while (!interrupted_) {
    if (std::exchange(woken_, false)) return Depth::kWrite;
    if (!has_work()) {
      changed_.wait(mutex_);
      continue;
    }
    if (!trouble_.ok()) {
      const std::int64_t pause_ms = retry_at_ms_ - monotonic_ms();
      if (pause_ms <= 0) return options_.wal_sync == WalSync::kNone ? Depth::kWrite : Depth::kSync;
      changed_.wait_for_ms(mutex_, static_cast<long>(pause_ms));
      continue;
    }
    const std::int64_t left_ms =
        oldest_unsynced_ms_ + options_.wal_sync_interval.ms - monotonic_ms();
    if (left_ms <= 0 || is_urgent()) {
      if (options_.wal_sync == WalSync::kNone) return Depth::kWrite;
      // Under kInterval waiters only want the write; their stream must not put off the sync.
      if (options_.wal_sync == WalSync::kInterval && left_ms > 0) return Depth::kWrite;
      return Depth::kSync;
    }
    changed_.wait_for_ms(mutex_, static_cast<long>(left_ms));
  }
  return Depth::kSync;
}

bool GroupCommitLog::sync_due() {
  const Depth depth = wait_for_work();
  // A failure is told to every waiter and every appender, and by trouble().
  static_cast<void>(flush_to(depth));
  const MutexLock lock(mutex_);
  return !interrupted_;
}

void GroupCommitLog::wake() {
  const MutexLock lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void GroupCommitLog::interrupt() {
  const MutexLock lock(mutex_);
  interrupted_ = true;
  changed_.notify_all();
}

Status GroupCommitLog::flush() {
  return flush_to(options_.wal_sync == WalSync::kCommit ? Depth::kSync : Depth::kWrite);
}

Status GroupCommitLog::sync() { return flush_to(Depth::kSync); }

Status GroupCommitLog::close() {
  Status outcome = flush_to(Depth::kSync);
  const MutexLock lock(mutex_);
  if (failure_.ok()) failure_ = unavailable("write-ahead log is closed");
  return outcome;
}

Status GroupCommitLog::flush_to(Depth depth) {
  CHECK(!flushing_.exchange(true), "two threads flush one log");
  // What an earlier try left comes first, then what has gathered since.
  const bool is_retry = !output_.empty();
  Status outcome = flush_once(depth);
  if (is_retry && outcome.ok()) outcome = flush_once(depth);
  flushing_ = false;
  return outcome;
}

Status GroupCommitLog::flush_once(Depth depth) {
  const std::int64_t start_ms = monotonic_ms();
  {
    const MutexLock lock(mutex_);
    TRY(Status(failure_));
    if (output_.empty()) {
      std::swap(gathered_, output_);
      output_end_ = appended_;
      output_written_ = 0;
      output_cuts_ = 0;
    }
    flushing_bytes_ = output_.bytes.size();
  }
  const Status outcome = write_output(depth);
  if (outcome.ok()) {
    output_.clear();
    if (output_.bytes.capacity() > kKeptCapacityBytes) std::string().swap(output_.bytes);
  }
  std::vector<Waiter> told;
  Status verdict;
  {
    const MutexLock lock(mutex_);
    if (outcome.ok()) {
      note_success(start_ms);
      told = take_waiters(acknowledged());
    } else {
      note_failure(outcome);
      verdict = failure_.ok() ? trouble_ : failure_;
      told = take_waiters(appended_);
    }
  }
  for (Waiter& waiter : told) waiter.done(verdict);
  return verdict;
}

void GroupCommitLog::note_success(std::int64_t start_ms) {
  flushing_bytes_ = 0;
  written_ = output_end_;
  if (file_.is_synced()) synced_ = output_end_;
  const bool is_settled = file_.is_synced() || options_.wal_sync == WalSync::kNone;
  if (is_settled) oldest_unsynced_ms_ = gathered_.empty() ? 0 : start_ms;
  trouble_ = {};
  retry_pause_ms_ = 0;
  metrics_.refusing.set(0);
}

void GroupCommitLog::note_failure(const Status& why) {
  metrics_.writes_failed.add();
  metrics_.refusing.set(1);
  if (why.code() == Code::kCorruption) {
    // The bytes are nowhere any more.
    failure_ = unavailable("write-ahead log has stopped: " + why.message());
    gathered_.clear();
    output_.clear();
    flushing_bytes_ = 0;
    oldest_unsynced_ms_ = 0;
    return;
  }
  trouble_ = unavailable("write-ahead log cannot be written: " + why.message());
  retry_pause_ms_ = std::clamp(2 * retry_pause_ms_, kRetryPauseMinMs, kRetryPauseMaxMs);
  retry_at_ms_ = monotonic_ms() + retry_pause_ms_;
}

/// Goes on where the last try ended.
Status GroupCommitLog::write_output(Depth depth) {
  TRY(file_.repair());
  for (; output_cuts_ < output_.cuts.size(); ++output_cuts_) {
    const LogOutput::Cut& cut = output_.cuts[output_cuts_];
    TRY(write_run(cut.at));
    // Before anything that follows can reach the disk: a log must not have holes.
    TRY(sync_file());
    TRY(file_.begin(cut.segment));
    active_segment_.store(cut.segment, std::memory_order_release);
    metrics_.segment.set(cut.segment);
  }
  TRY(write_run(output_.bytes.size()));
  if (depth == Depth::kSync) TRY(sync_file());
  metrics_.completed_pages.add(output_.completed_page_count);
  metrics_.record_parts.add(output_.fragment_count);
  metrics_.record_part_bytes.add(output_.bytes.size());
  return {};
}

Status GroupCommitLog::write_run(std::size_t end) {
  const Bytes run = as_bytes(output_.bytes).subspan(output_written_, end - output_written_);
  if (run.empty()) return {};
  TRY(file_.append(run));
  output_written_ = end;
  metrics_.page_flushes.add();
  metrics_.storage_bytes.add(static_cast<double>(run.size()));
  return {};
}

Status GroupCommitLog::sync_file() {
  if (file_.is_synced()) return {};
  const std::int64_t start_us = monotonic_us();
  TRY(file_.sync());
  metrics_.fsync_seconds.observe(static_cast<double>(monotonic_us() - start_us) * 1e-6);
  return {};
}

Status GroupCommitLog::trouble() const {
  const MutexLock lock(mutex_);
  return failure_.ok() ? trouble_ : failure_;
}

LogPosition GroupCommitLog::appended_position() const {
  const MutexLock lock(mutex_);
  return appended_;
}

LogPosition GroupCommitLog::written_position() const {
  const MutexLock lock(mutex_);
  return written_;
}

LogPosition GroupCommitLog::synced_position() const {
  const MutexLock lock(mutex_);
  return synced_;
}

LogPosition GroupCommitLog::followable_position() const {
  const MutexLock lock(mutex_);
  return options_.wal_sync == WalSync::kNone ? written_ : synced_;
}

void GroupCommitLog::collect(MetricWriter& out, std::string_view prefix) const {
  const auto named = [prefix](std::string_view name) { return std::string(prefix).append(name); };
  const auto count = [&](std::string_view name, std::string_view help, const Counter& counter) {
    out.counter(named(name), help, static_cast<double>(counter.value()));
  };
  out.histogram(named("fsync_duration_seconds"), "Duration of write log fsync.",
                metrics_.fsync_seconds);
  count("page_flushes_total", "Writes to segment files.", metrics_.page_flushes);
  count("completed_pages_total", "Pages filled.", metrics_.completed_pages);
  count("record_part_writes_total", "Record fragments written.", metrics_.record_parts);
  count("record_parts_bytes_written_total",
        "Bytes of record fragments written, with headers and padding.", metrics_.record_part_bytes);
  count("record_bytes_saved_total", "Bytes saved by compressing records.",
        metrics_.record_bytes_saved);
  count("writes_failed_total", "Writes and syncs that failed.", metrics_.writes_failed);
  count("truncations_total", "Truncations attempted.", metrics_.truncations);
  count("truncations_failed_total", "Truncations that failed.", metrics_.truncations_failed);
  if (prefix == "prometheus_tsdb_wal_") {
    out.gauge("tarsier_tsdb_wal_refusing",
              "1 while writes are refused because the disk is full or fails.",
              metrics_.refusing.value());
  }
  out.gauge(named("segment_current"), "Segment being written.", metrics_.segment.value());
  out.gauge(named("storage_size_bytes"), "Size of the write log directory.",
            metrics_.storage_bytes.value());
}

}  // namespace tarsier::tsdb
