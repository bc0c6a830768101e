#include "tracing/policy/budgets.h"

#include <algorithm>

#include <fmt/format.h>

namespace tarsier::tracing {

bool TokenBucket::has(double amount, Timestamp now) {
  if (filled_ == kMinTimestamp) filled_ = now;
  if (now > filled_) {
    const double seconds = static_cast<double>((now - filled_).ms) / 1000;
    tokens_ = std::min(burst_, tokens_ + per_second_ * seconds);
    filled_ = now;
  }
  return amount <= tokens_;
}

double LimitPolicy::cost(const TraceFacts& trace) const {
  return unit_ == Unit::kSpans ? static_cast<double>(trace.span_count)
                               : static_cast<double>(trace.byte_count);
}

Vote LimitPolicy::vote(const TraceFacts& trace, Voting voting) {
  const bool fits = bucket_.has(cost(trace), trace.now);
  if (fits && voting == Voting::kCharge) bucket_.take(cost(trace));
  Vote out = Vote::if_true(fits);
  out.is_limited = true;
  return out;
}

std::string LimitPolicy::detail(const TraceFacts& trace) const {
  return fmt::format("{:.0f} {}, {:.0f} left of {:.0f} ({:.0f} per second)", cost(trace),
                     unit_ == Unit::kSpans ? "spans" : "bytes", bucket_.tokens(), bucket_.burst(),
                     bucket_.per_second());
}

Vote CompositePolicy::vote(const TraceFacts& trace, Voting voting) {
  const auto cost = static_cast<double>(trace.span_count);
  owner_ = nullptr;
  Vote out = Vote::if_true(false);
  out.is_limited = true;
  if (!total_.has(cost, trace.now)) return out;
  for (Part& part : parts_) {
    if (!part.share.has(cost, trace.now)) continue;
    if (!part.policy->vote(trace, voting).sampled.contains(trace.randomness)) continue;
    if (voting == Voting::kCharge) {
      part.share.take(cost);
      total_.take(cost);
    }
    owner_ = part.policy.get();
    out.sampled = RandomnessSet::all();
    return out;
  }
  return out;
}

std::string CompositePolicy::detail(const TraceFacts& trace) const {
  const std::string total = fmt::format("{} spans, {:.0f} left of {:.0f} in total",
                                        trace.span_count, total_.tokens(), total_.burst());
  return owner_ ? owner_->detail(trace) + "; " + total : total;
}

std::string CompositePolicy::decider() const {
  return owner_ ? name() + "/" + owner_->decider() : name();
}

}  // namespace tarsier::tracing
