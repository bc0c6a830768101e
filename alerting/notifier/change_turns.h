#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "alerting/notifier/core.h"
#include "base/mutex.h"
#include "base/result.h"

namespace tarsier::alerting {

/// A change that somebody waits for until it is on disk.
struct Wish {
  std::function<Status(NotifierCore&, Changes&)> plan;
  Status outcome;
  bool is_done = false;  ///< Guarded by the turns it was given to.
};

/// Whose turn it is to change things. One thread at a time has the turn, over the write and the
/// sync that make a change last; what others wish meanwhile the next one does for all of them, with
/// one sync. Any number of threads.
class ChangeTurns final {
 public:
  /// Waits for the turn, or until another thread has done `wish`. True: the turn is the caller's,
  /// and the wish among those it has to take.
  bool take_turn(Wish& wish) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    wishes_.push_back(&wish);
    while (is_taken_ && !wish.is_done) changed_.wait(mutex_);
    if (wish.is_done) return false;
    is_taken_ = true;
    return true;
  }
  /// Waits for the turn of a thread that has no wish of its own.
  void take_turn() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    while (is_taken_) changed_.wait(mutex_);
    is_taken_ = true;
  }
  /// What is to be done by now. REQUIRES: the turn.
  std::vector<Wish*> take_wishes() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    return std::exchange(wishes_, {});
  }
  /// Their outcomes are set, and whoever waits may go on.
  void done(const std::vector<Wish*>& wishes) EXCLUDES_LOCK(mutex_) {
    if (wishes.empty()) return;
    MutexLock lock(mutex_);
    for (Wish* wish : wishes) wish->is_done = true;
    changed_.notify_all();
  }
  /// REQUIRES: the turn.
  void end_turn() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    is_taken_ = false;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool is_taken_ GUARDED_BY(mutex_) = false;
  std::vector<Wish*> wishes_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::alerting
