#include "base/mutex.h"

#include <chrono>

namespace tarsier {

bool CondVar::wait_for_ms(Mutex& mutex, long timeout_ms) {
  return condition_.wait_for(mutex, std::chrono::milliseconds(timeout_ms)) ==
         std::cv_status::no_timeout;
}

}  // namespace tarsier
