#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <memory>

namespace tarsier {

ThreadPool::ThreadPool(Options options) : options_(options) {
  threads_.reserve(options_.thread_count);
  for (std::size_t i = 0; i < options_.thread_count; ++i) threads_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadPool::try_submit(std::function<void()> task) {
  {
    const MutexLock lock(mutex_);
    if (queue_.size() >= options_.queue_size_max) return false;
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void ThreadPool::work() {
  for (;;) {
    std::function<void()> task;
    {
      const MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.wait(mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

namespace {

/// What the helpers of one parallel_for share. They hold it by shared_ptr, because one that starts
/// only after the loop is over must find it alive, see no work left, and touch nothing else.
struct Loop {
  std::size_t count;
  std::function<void(std::size_t)> body;
  std::atomic<std::size_t> next{0};
  Mutex mutex;
  CondVar all_done;
  std::size_t done GUARDED_BY(mutex) = 0;

  void run() {
    std::size_t finished = 0;
    for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      body(i);
      ++finished;
    }
    if (finished == 0) return;
    const MutexLock lock(mutex);
    done += finished;
    if (done == count) all_done.notify_all();
  }
};

}  // namespace

void parallel_for(ThreadPool* pool, std::size_t count,
                  const std::function<void(std::size_t)>& body) {
  if (pool == nullptr || count < 2) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  const auto loop = std::make_shared<Loop>();
  loop->count = count;
  loop->body = body;
  const std::size_t helper_count = std::min(pool->thread_count(), count - 1);
  for (std::size_t i = 0; i < helper_count; ++i) {
    if (!pool->try_submit([loop] { loop->run(); })) break;
  }
  loop->run();
  const MutexLock lock(loop->mutex);
  while (loop->done < count) loop->all_done.wait(loop->mutex);
}

}  // namespace tarsier
