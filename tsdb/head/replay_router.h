#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "base/thread_pool.h"
#include "tsdb/head/head.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {

/// Brings the samples of a log into a head on several threads: they are sorted by ranges of slots,
/// so that two threads never meet at a series and one stays within memory its caches hold, and
/// applied a round at a time while the next round is read. What is of one series stays in log
/// order. Used by one thread, which calls drain() before anything but samples touches those series,
/// and at the end.
class ReplayRouter final {
 public:
  ReplayRouter(Head& head, ThreadPool* pool);
  ~ReplayRouter();
  ReplayRouter(const ReplayRouter&) = delete;
  ReplayRouter& operator=(const ReplayRouter&) = delete;

  /// Takes the samples of one record; unknown series are passed over.
  void add(std::span<const RefSample> samples);
  /// Returns when everything added is in the head.
  void drain();
  /// Whether something added since the last drain is of a series that has histograms, too.
  bool has_mixed() const { return has_mixed_; }

 private:
  /// Samples on their way, by range of slots, and how far the threads are with them. Outlives
  /// whichever side ends last.
  struct Round;
  using Lanes = std::vector<std::unique_ptr<Head::ReplayLane>>;

  void start();
  void wait();

  Head& head_;
  ThreadPool* const pool_;
  Lanes lanes_;
  std::shared_ptr<Round> filling_;
  bool has_mixed_ = false;
  std::shared_ptr<Round> running_;  // Null if none is.
};

}  // namespace tarsier::tsdb
