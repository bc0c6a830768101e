#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/time.h"

namespace tarsier::alerting {

/// Bad and all events of a span of time; or, cumulative, of all time.
struct EventCounts {
  double bad = 0;
  double total = 0;
  EventCounts& operator+=(EventCounts other) {
    bad += other.bad;
    total += other.total;
    return *this;
  }
  friend EventCounts operator-(EventCounts a, EventCounts b) {
    return {a.bad - b.bad, a.total - b.total};
  }
  bool operator==(const EventCounts&) const = default;
};

// Time in steps: step n holds the samples of ((n - 1) * length, n * length], so that a window that
// ends with a step is a whole number of steps.

struct StepClock {
  Duration length = seconds(15);

  std::int64_t step_of(Timestamp t) const {
    const std::int64_t n = t.ms / length.ms;
    return n + (t.ms % length.ms > 0 ? 1 : 0);
  }
  Timestamp end_of(std::int64_t step) const { return {step * length.ms}; }
  /// The last step that has ended at `t`.
  std::int64_t ended_by(Timestamp t) const {
    const std::int64_t n = t.ms / length.ms;
    return n - (t.ms % length.ms < 0 ? 1 : 0);
  }
  /// A window's length, rounded up.
  std::int64_t steps_in(Duration window) const { return (window.ms + length.ms - 1) / length.ms; }
};

/// Cumulative counts at the ends of the newest steps of one counter. A late addition moves every
/// count after it, so that any difference of two is exact. One thread at a time.
class EventRing final {
 public:
  /// REQUIRES: `capacity` > 1.
  explicit EventRing(std::size_t capacity) : counts_(capacity) {}

  /// Forgets everything: `counts` stood at the end of `step`. REQUIRES: step >= 0.
  void reset(std::int64_t step, EventCounts counts);
  bool empty() const { return count_ == 0; }
  std::int64_t newest() const { return newest_; }  ///< REQUIRES: !empty().
  std::int64_t oldest() const { return newest_ - static_cast<std::int64_t>(count_) + 1; }
  /// Makes `step` the newest; nothing happened since.
  void advance(std::int64_t step);
  /// Adds events of a step: O(1) for the newest. False, nothing done: the step is not after the
  /// oldest, whose own events are not known apart.
  bool add(std::int64_t step, EventCounts events);
  /// Cumulative at the end of a step; later ones are as the newest. REQUIRES: oldest() <= step.
  EventCounts at(std::int64_t step) const {
    DCHECK(count_ > 0 && step >= oldest());
    return counts_[slot(std::min(step, newest_))];
  }

 private:
  std::size_t slot(std::int64_t step) const {
    return static_cast<std::size_t>(step) % counts_.size();
  }

  std::vector<EventCounts> counts_;  ///< Step n is in slot n % size.
  std::size_t count_ = 0;
  std::int64_t newest_ = 0;
};

}  // namespace tarsier::alerting
