#include "server/call_gate.h"

#include <utility>

namespace tarsier::server {

struct CallGate::State {
  State(std::size_t in_progress_limit, std::size_t waiting_limit)
      : in_progress_max(in_progress_limit), waiting_max(waiting_limit) {}
  const std::size_t in_progress_max;
  const std::size_t waiting_max;
  Mutex mutex;
  std::size_t in_progress GUARDED_BY(mutex) = 0;
  std::deque<std::function<void(Lease)>> waiting GUARDED_BY(mutex);
};

CallGate::CallGate(std::size_t in_progress_max, std::size_t waiting_max)
    : state_(std::make_shared<State>(in_progress_max, waiting_max)) {}

CallGate::~CallGate() {
  const MutexLock lock(state_->mutex);
  state_->waiting.clear();
}

CallGate::Lease CallGate::make_lease(const std::shared_ptr<State>& state) {
  return {nullptr, [state](void*) {
            std::function<void(Lease)> next;
            {
              const MutexLock lock(state->mutex);
              if (state->waiting.empty()) {
                --state->in_progress;
                return;
              }
              next = std::move(state->waiting.front());
              state->waiting.pop_front();
            }
            next(make_lease(state));
          }};
}

bool CallGate::enter(std::function<void(Lease)> start) {
  {
    const MutexLock lock(state_->mutex);
    if (state_->in_progress_max != 0 && state_->in_progress == state_->in_progress_max) {
      if (state_->waiting.size() == state_->waiting_max) return false;
      state_->waiting.push_back(std::move(start));
      return true;
    }
    ++state_->in_progress;
  }
  start(make_lease(state_));
  return true;
}

}  // namespace tarsier::server
