#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/span.h"
#include "tracing/span_sink.h"

namespace tarsier::tracing {

/// Where a batch lies in the log. Made by the log, changed under its lock alone.
struct SpanLogPlace {
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;
  std::uint32_t frame_bytes = 0;
  bool is_written = false;
  bool is_forgotten = false;
};

/// The batches with undecided spans, compressed, in numbered segments (FORMAT.md, "Span log"). What
/// the buffer has in memory is a cache of it.
///
/// 1. append() only adds to memory, in log order. Whoever waits for a position brings what has
///    gathered to the file, for everybody who waits: one write for many.
/// 2. When a waiter is told success, its batch survives the process. sync() makes everything
/// written
///    survive a power cut.
/// 3. A batch that could not be written stays and is written to the next segment; waiters are told
///    the error, and `trouble()` says why nothing should be accepted now.
/// 4. A segment may be removed once every batch in it was forgotten.
///
/// Any number of threads; one at a time syncs. Its lock is a leaf.
class SpanLog final {
 public:
  struct Options {
    std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  };
  /// `log` must outlive it.
  static Result<std::unique_ptr<SpanLog>> open(FileSystem& files, const std::string& directory,
                                               const Options& options, Logger& log);

  using Visitor = std::function<void(std::shared_ptr<const SpanBatch>, Timestamp received,
                                     std::shared_ptr<SpanLogPlace>)>;
  /// Gives out every batch that was there at open(), in order. What is visited counts as remembered
  /// until it is forgotten. Once, before anything is appended.
  Status replay(const Visitor& visit);

  struct Appended {
    SpanLogPosition position;
    std::shared_ptr<SpanLogPlace> place;
  };
  Appended append(const SpanBatch& batch, Timestamp received);
  /// The position of the last append.
  SpanLogPosition last_position() const;
  /// Calls `done` once the batches up to `position` are written, or with the error: at once, on
  /// this thread after it has written them, or on that of another caller.
  void when_written(SpanLogPosition position, std::function<void(Status)> done);
  Status sync();

  bool is_written(const SpanLogPlace& place) const;
  /// REQUIRES: is_written().
  Result<std::shared_ptr<const SpanBatch>> read(const SpanLogPlace& place) const;
  /// No span of the batch is needed any more.
  void forget(SpanLogPlace& place);

  /// Finished segments whose batches are all forgotten, oldest first; up to the first that is not.
  std::vector<std::uint32_t> removable_segments() const;
  Status remove_segments(const std::vector<std::uint32_t>& numbers);
  /// Ends the current segment, so that it becomes removable; unless it is empty.
  void cut();

  std::uint64_t disk_bytes() const;
  std::uint64_t pending_bytes() const;
  Status trouble() const;

 private:
  struct Segment {
    std::uint64_t bytes = 0;
    std::uint64_t live_batches = 0;
    bool is_finished = false;
  };
  struct Pending {
    std::string frame;
    std::shared_ptr<SpanLogPlace> place;
    std::uint64_t position = 0;
  };
  struct Waiter {
    std::uint64_t position = 0;
    std::function<void(Status)> done;
  };

  SpanLog(FileSystem& files, std::string directory, const Options& options, Logger& log)
      : files_(files), directory_(std::move(directory)), options_(options), log_(log) {}
  std::string path_of(std::uint32_t segment) const;
  /// Writes all that gathers until there is nothing more, unless somebody else does already.
  void write_gathered();
  Status write_run(std::vector<Pending>& run);
  Status write_frames(std::vector<Pending>& run);
  void give_up(std::vector<Pending> run, const Status& why) REQUIRES_LOCK(mutex_);
  void place_next(SpanLogPlace& place, std::uint64_t frame_bytes) REQUIRES_LOCK(mutex_);

  FileSystem& files_;
  const std::string directory_;
  const Options options_;
  Logger& log_;

  // Of whoever holds is_writing_.
  std::unique_ptr<WritableFile> file_;
  std::uint32_t file_segment_ = 0;

  mutable Mutex mutex_;
  CondVar idle_;
  bool is_writing_ GUARDED_BY(mutex_) = false;
  std::map<std::uint32_t, Segment> segments_ GUARDED_BY(mutex_);
  std::uint32_t active_ GUARDED_BY(mutex_) = 0;
  std::vector<Pending> pending_ GUARDED_BY(mutex_);
  std::uint64_t pending_bytes_ GUARDED_BY(mutex_) = 0;
  std::deque<Waiter> waiters_ GUARDED_BY(mutex_);
  std::uint64_t appended_ GUARDED_BY(mutex_) = 0;
  std::uint64_t written_ GUARDED_BY(mutex_) = 0;
  Status trouble_ GUARDED_BY(mutex_);
};

/// Takes one segment apart: the payload of each whole frame, until the first that is not.
/// kCorruption when even the header is none.
Status read_span_segment(
    std::string_view contents,
    const std::function<void(std::string_view payload, std::uint64_t offset)>& visit);
/// A frame's payload as a batch; kCorruption when it is none.
struct LoggedSpans {
  std::shared_ptr<const SpanBatch> batch;
  Timestamp received;
};
Result<LoggedSpans> decode_logged_spans(std::string_view payload);

}  // namespace tarsier::tracing
