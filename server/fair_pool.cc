#include "server/fair_pool.h"

#include <algorithm>
#include <utility>

#include <pthread.h>

namespace tarsier::server {
namespace {

/// How long a task may wait beyond its deadline.
constexpr Duration kLookEvery = milliseconds(20);

}  // namespace

FairPool::FairPool(Options options) : options_(options) {
  for (std::size_t i = 0; i < options_.thread_count; ++i) {
    threads_.emplace_back([this] {
      ::pthread_setname_np(::pthread_self(), "query");
      work();
    });
  }
}

FairPool::~FairPool() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool FairPool::try_submit(Task task) {
  std::deque<Task> cancelled;
  bool is_taken = false;
  {
    const MutexLock lock(mutex_);
    if (waiting_count_ >= options_.queue_size_max) cancelled = take_cancelled();
    if (waiting_count_ < options_.queue_size_max) {
      is_taken = true;
      ++waiting_count_;
      clients_[task.client].waiting.push_back(std::move(task));
    }
  }
  if (is_taken) wake_.notify_one();
  for (const Task& t : cancelled) t.refuse();
  return is_taken;
}

std::deque<FairPool::Task> FairPool::take_cancelled() {
  std::deque<Task> cancelled;
  for (auto it = clients_.begin(); it != clients_.end();) {
    std::deque<Task>& waiting = it->second.waiting;
    const auto first = std::stable_partition(
        waiting.begin(), waiting.end(), [](const Task& t) { return !t.cancel->is_cancelled(); });
    std::move(first, waiting.end(), std::back_inserter(cancelled));
    waiting.erase(first, waiting.end());
    it = waiting.empty() && it->second.running_count == 0 ? clients_.erase(it) : std::next(it);
  }
  waiting_count_ -= cancelled.size();
  return cancelled;
}

Timestamp FairPool::run_due(Timestamp now) {
  std::deque<Task> cancelled;
  {
    const MutexLock lock(mutex_);
    cancelled = take_cancelled();
  }
  for (const Task& t : cancelled) t.refuse();
  return now + kLookEvery;
}

std::size_t FairPool::waiting_count() const {
  const MutexLock lock(mutex_);
  return waiting_count_;
}

void FairPool::work() {
  mutex_.lock();
  for (;;) {
    while (waiting_count_ == 0 && !stopping_) wake_.wait(mutex_);
    if (waiting_count_ == 0) break;
    auto next = clients_.end();
    for (auto it = clients_.begin(); it != clients_.end(); ++it) {
      if (it->second.waiting.empty()) continue;
      const auto rank = [](const Client& c) { return std::pair(c.running_count, c.last_served); };
      if (next == clients_.end() || rank(it->second) < rank(next->second)) next = it;
    }
    Client& client = next->second;
    client.last_served = ++served_count_;
    ++client.running_count;
    --waiting_count_;
    Task task = std::move(client.waiting.front());
    client.waiting.pop_front();
    mutex_.unlock();
    if (task.cancel->is_cancelled()) {
      task.refuse();
    } else {
      task.run();
    }
    task = Task();  // What it holds goes without the lock.
    mutex_.lock();
    // An iterator into a map survives whatever else came and went: a client that runs is kept.
    if (--next->second.running_count == 0 && next->second.waiting.empty()) clients_.erase(next);
  }
  mutex_.unlock();
}

}  // namespace tarsier::server
