#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/histogram.h"

namespace tarsier::ingest {

/// Which start times of series were told already: senders repeat them with every sample. Forgets
/// everything once it is full, for then the worst is that storage refuses what it has. Any number
/// of threads.
class KnownStarts final {
 public:
  explicit KnownStarts(std::size_t series_max) : series_max_(series_max) {}
  /// False if that is what was told last.
  bool note(tsdb::SeriesRef series, Timestamp start);
  void clear();

 private:
  const std::size_t series_max_;
  Mutex mutex_;
  std::unordered_map<std::uint64_t, std::int64_t> starts_ GUARDED_BY(mutex_);
};

/// Zeroes where series say that they began to count (created-timestamp-zero-ingestion), unless they
/// have something newer. A batch of its own, to be committed before the samples: zeroes only go in
/// in order, whatever the out-of-order window. One thread.
class StartZeroes final {
 public:
  StartZeroes(std::function<std::unique_ptr<tsdb::Appender>()> make_appender, KnownStarts& known)
      : make_appender_(std::move(make_appender)), known_(known) {}

  /// The series was zero at `start`, before its sample at `t`. Nothing happens if that is no time
  /// before, more than an hour before (beyond what a head with the usual block range takes), or
  /// known.
  void add(tsdb::SeriesRef series, Timestamp start, Timestamp t);
  /// The same for a native histogram, which had nothing in the same buckets.
  void add(tsdb::SeriesRef series, Timestamp start, Timestamp t, const tsdb::AnyHistogram& sample);
  Status commit();

 private:
  bool is_wanted(tsdb::SeriesRef series, Timestamp start, Timestamp t);

  const std::function<std::unique_ptr<tsdb::Appender>()> make_appender_;
  KnownStarts& known_;
  std::unique_ptr<tsdb::Appender> appender_;  // Null until the first zero.
};

}  // namespace tarsier::ingest
