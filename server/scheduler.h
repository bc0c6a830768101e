#pragma once

#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::server {

/// One thread that drives what works in the background. A component hands in its verb, `run_due`,
/// which does what is due and says when to be called again; tasks are run once, in order. Verbs and
/// tasks of one scheduler never run at the same time. Made and stopped by the composition.
class Scheduler final {
 public:
  using Verb = std::function<Timestamp(Timestamp now)>;

  /// `name` is the thread's, at most 15 characters.
  explicit Scheduler(std::string name);
  ~Scheduler();

  void add(Verb verb);
  /// Runs `task` soon, on the scheduler's thread. Dropped when the scheduler ends first.
  void post(std::function<void()> task);
  /// Has every verb called soon: something earlier than it said has become due.
  void wake();
  /// Ends the thread after what it is doing now. Also the destructor's first step.
  void stop();

 private:
  struct Entry {
    Verb verb;
    Timestamp due{0};
  };
  void run();

  const std::string name_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::shared_ptr<Entry>> entries_ GUARDED_BY(mutex_);
  std::vector<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: it uses everything above.
};

/// Expires tokens at a moment. Any number of threads; `run_due` is for one scheduler.
class Deadlines final {
 public:
  /// `earlier` is called when a new deadline is the first to come.
  explicit Deadlines(std::function<void()> earlier) : earlier_(std::move(earlier)) {}

  void expire_at(const std::shared_ptr<CancelToken>& token, Timestamp when);
  Timestamp run_due(Timestamp now);

 private:
  struct Deadline {
    Timestamp when;
    std::weak_ptr<CancelToken> token;
    bool operator>(const Deadline& other) const { return when > other.when; }
  };

  const std::function<void()> earlier_;
  Mutex mutex_;
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> queue_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::server
