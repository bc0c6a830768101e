#include "server/scheduler.h"

#include <algorithm>

#include <pthread.h>

#include "server/clock.h"

namespace tarsier::server {
namespace {

// The wall clock may be set: look again at least this often.
constexpr std::int64_t kSleepMsMax = 5000;

}  // namespace

Scheduler::Scheduler(std::string name) : name_(std::move(name)) {
  thread_ = std::thread([this] { run(); });
}

Scheduler::~Scheduler() { stop(); }

void Scheduler::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Scheduler::add(Verb verb) {
  MutexLock lock(mutex_);
  entries_.push_back(std::make_shared<Entry>(Entry{std::move(verb)}));
  changed_.notify_all();
}

void Scheduler::post(std::function<void()> task) {
  MutexLock lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.notify_all();
}

void Scheduler::wake() {
  MutexLock lock(mutex_);
  for (const auto& entry : entries_) entry->due = {0};
  changed_.notify_all();
}

void Scheduler::run() {
  ::pthread_setname_np(::pthread_self(), name_.c_str());
  for (;;) {
    std::vector<std::function<void()>> tasks;
    std::vector<std::shared_ptr<Entry>> due;
    {
      MutexLock lock(mutex_);
      while (!stopping_) {
        const Timestamp t = now();
        Timestamp next = kNever;
        for (const auto& entry : entries_) {
          if (entry->due <= t) due.push_back(entry);
          next = std::min(next, entry->due);
        }
        if (!due.empty() || !tasks_.empty()) break;
        const std::int64_t wait_ms = std::clamp<std::int64_t>((next - t).ms, 1, kSleepMsMax);
        changed_.wait_for_ms(mutex_, static_cast<long>(wait_ms));
      }
      if (stopping_) return;
      tasks.swap(tasks_);
      // A wake() while the verb runs must not be lost: only a verb's own answer moves it later.
      for (const auto& entry : due) entry->due = kNever;
    }
    for (const auto& task : tasks) task();
    for (const auto& entry : due) {
      const Timestamp next = entry->verb(now());
      MutexLock lock(mutex_);
      entry->due = std::min(entry->due, next);
    }
  }
}

void Deadlines::expire_at(const std::shared_ptr<CancelToken>& token, Timestamp when) {
  bool is_first = false;
  {
    MutexLock lock(mutex_);
    is_first = queue_.empty() || when < queue_.top().when;
    queue_.push({when, token});
  }
  if (is_first) earlier_();
}

Timestamp Deadlines::run_due(Timestamp now) {
  MutexLock lock(mutex_);
  while (!queue_.empty()) {
    const std::shared_ptr<CancelToken> token = queue_.top().token.lock();
    if (token && queue_.top().when > now) return queue_.top().when;
    if (token) token->expire();
    queue_.pop();
  }
  return kNever;
}

}  // namespace tarsier::server
