#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "base/mutex.h"

namespace tarsier::server {

/// Lets so many calls be in progress at a time; the others wait in a queue, the first come first. A
/// call is in progress while its lease lives, on whatever threads. Any number of threads.
class CallGate final {
 public:
  using Lease = std::shared_ptr<void>;
  /// `in_progress_max` 0: no limit. Of those that wait, `waiting_max`.
  explicit CallGate(std::size_t in_progress_max, std::size_t waiting_max = 1024);
  ~CallGate();
  CallGate(const CallGate&) = delete;
  CallGate& operator=(const CallGate&) = delete;

  /// Calls `start` with a lease: now, or on the thread that ends another call. False: too many
  /// wait.
  [[nodiscard]] bool enter(std::function<void(Lease)> start);

 private:
  struct State;
  static Lease make_lease(const std::shared_ptr<State>& state);
  const std::shared_ptr<State> state_;  // Leases may outlive the gate.
};

}  // namespace tarsier::server
