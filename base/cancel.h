#pragma once

#include <atomic>

namespace tarsier {

/// Set once by whoever owns a request (its client left, its deadline passed, the server drains),
/// asked by whoever works for it between batches. A single flag, so relaxed atomics suffice.
class CancelToken final {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  /// Like cancel(), but the work should say it ran out of time.
  void expire() {
    expired_.store(true, std::memory_order_relaxed);
    cancel();
  }
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  bool is_expired() const { return expired_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> expired_{false};
};

}  // namespace tarsier
