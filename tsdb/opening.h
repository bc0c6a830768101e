#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// What can be seen of a database while it is being opened: how far the log is read, and the
/// blocks, which serve whatever ends before the head begins. Made by the caller of Db::open, which
/// fills it. Any number of threads.
class Opening final : public Queryable {
 public:
  /// Of the log, as /api/v1/status/walreplay says it. All zero until the log is looked at.
  struct Segments {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    std::uint32_t current = 0;
  };
  Segments segments() const;

  /// Samples before this are in blocks, and those can be read. kMinTimestamp: nothing yet.
  Timestamp served_until() const EXCLUDES_LOCK(mutex_);
  /// The blocks. kUnavailable when `range` reaches into the head.
  Result<std::unique_ptr<Querier>> querier(TimeRange range) override EXCLUDES_LOCK(mutex_);

  // For Db::open.

  void set_segments(std::uint32_t first, std::uint32_t last);
  void set_current(std::uint32_t segment) { current_.store(segment, std::memory_order_relaxed); }
  using MakeQuerier = std::function<std::unique_ptr<Querier>(TimeRange)>;
  void serve_blocks(Timestamp until, MakeQuerier make) EXCLUDES_LOCK(mutex_);
  /// From here on the database serves, and blocks may go.
  void finish() EXCLUDES_LOCK(mutex_) { serve_blocks(kMinTimestamp, nullptr); }

 private:
  std::atomic<std::uint32_t> first_{0};
  std::atomic<std::uint32_t> last_{0};
  std::atomic<std::uint32_t> current_{0};
  mutable Mutex mutex_;
  Timestamp until_ GUARDED_BY(mutex_) = kMinTimestamp;
  MakeQuerier make_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
