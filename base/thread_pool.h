#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace tarsier {

/// A fixed number of threads that run tasks from one bounded queue. `server` makes them and hands
/// them to rooms that can use several cores. Any number of threads may submit. The destructor runs
/// what was accepted, then joins.
class ThreadPool final {
 public:
  struct Options {
    std::size_t thread_count = 2;
    std::size_t queue_size_max = 1024;
  };
  explicit ThreadPool(Options options);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// False when the queue is full; the task was then not taken.
  [[nodiscard]] bool try_submit(std::function<void()> task);
  std::size_t thread_count() const { return threads_.size(); }

 private:
  void work();

  const Options options_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // Last: its threads use everything above.
};

/// Calls `body(i)` for every i below `count`, on the caller's thread and on as many threads of
/// `pool` as are free, and returns when all calls have returned. With a null pool, or one that is
/// busy, the caller does it all: so it can be called from a pool's own thread without deadlock.
void parallel_for(ThreadPool* pool, std::size_t count,
                  const std::function<void(std::size_t)>& body);

}  // namespace tarsier
