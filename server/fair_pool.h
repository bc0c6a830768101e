#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/mutex.h"
#include "base/time.h"

namespace tarsier::server {

/// A fixed number of threads that serve many clients fairly: each client has its own queue, and the
/// next task is taken from the client that has the fewest running, in turn among equals. So one
/// client's hundred panels do not keep another's first one waiting. The queues together are
/// bounded; a waiting task whose token is cancelled (its client left, its deadline passed) is
/// refused at once, without a thread. Any number of threads may submit. The destructor runs what
/// was accepted, then joins.
class FairPool final {
 public:
  struct Options {
    std::size_t thread_count = 20;
    std::size_t queue_size_max = 1024;
  };
  struct Task {
    std::string client;
    std::shared_ptr<CancelToken> cancel;
    std::function<void()> run;
    std::function<void()> refuse;  ///< Instead of `run`, once `cancel` is cancelled.
  };
  explicit FairPool(Options options);
  ~FairPool();
  FairPool(const FairPool&) = delete;
  FairPool& operator=(const FairPool&) = delete;

  /// False when the queues are full; the task was then not taken.
  [[nodiscard]] bool try_submit(Task task);
  /// Refuses waiting tasks whose token was cancelled. Says when to look again.
  Timestamp run_due(Timestamp now);
  std::size_t waiting_count() const;

 private:
  struct Client {
    std::deque<Task> waiting;
    std::size_t running_count = 0;
    std::uint64_t last_served = 0;  ///< For turns among equals.
  };
  void work();
  std::deque<Task> take_cancelled() REQUIRES_LOCK(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::map<std::string, Client> clients_ GUARDED_BY(mutex_);  // Only those with tasks.
  std::size_t waiting_count_ GUARDED_BY(mutex_) = 0;
  std::uint64_t served_count_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // Last: its threads use everything above.
};

}  // namespace tarsier::server
