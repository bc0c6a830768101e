#pragma once

#include <algorithm>

#include "base/time.h"

namespace tarsier::tsdb {

/// When to try again what failed: after a minute, then after twice as long each time, at most ten
/// minutes. Work that may have written gigabytes before the disk was full is not repeated every
/// minute, and goes on by itself once there is room. One thread.
class Backoff final {
 public:
  bool is_due(Timestamp now) const { return now >= not_before_; }
  void fail(Timestamp now) {
    pause_ = Duration{std::clamp(2 * pause_.ms, minutes(1).ms, minutes(10).ms)};
    not_before_ = now + pause_;
  }
  void succeed() { *this = Backoff(); }

 private:
  Duration pause_{0};
  Timestamp not_before_ = kMinTimestamp;
};

}  // namespace tarsier::tsdb
