#include "alerting/event_counts.h"

#include <algorithm>

namespace tarsier::alerting {

void EventRing::reset(std::int64_t step, EventCounts counts) {
  CHECK(step >= 0);
  newest_ = step;
  count_ = 1;
  counts_[slot(step)] = counts;
}

void EventRing::advance(std::int64_t step) {
  DCHECK(count_ > 0);
  if (step <= newest_) return;
  const EventCounts last = counts_[slot(newest_)];
  const auto capacity = static_cast<std::int64_t>(counts_.size());
  if (step - newest_ >= capacity) {  // Nothing but the last count is left.
    std::fill(counts_.begin(), counts_.end(), last);
    newest_ = step;
    count_ = counts_.size();
    return;
  }
  count_ = std::min(counts_.size(), count_ + static_cast<std::size_t>(step - newest_));
  while (newest_ < step) counts_[slot(++newest_)] = last;
}

bool EventRing::add(std::int64_t step, EventCounts events) {
  DCHECK(count_ > 0);
  if (step <= oldest()) return false;
  advance(step);
  for (std::int64_t n = step; n <= newest_; ++n) counts_[slot(n)] += events;
  return true;
}

}  // namespace tarsier::alerting
