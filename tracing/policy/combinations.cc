#include "tracing/policy/combinations.h"

#include <algorithm>

namespace tarsier::tracing {

Vote AndPolicy::vote(const TraceFacts& trace, Voting voting) {
  Vote out{.kind = effect_ == Effect::kDrop ? Vote::Kind::kDrop : Vote::Kind::kPlain,
           .sampled = RandomnessSet::all()};
  for (const bool with_budget : {false, true}) {
    for (const std::unique_ptr<Policy>& part : parts_) {
      if (part->has_budget() != with_budget) continue;
      // No budget is spent on a trace that the other parts refuse.
      const bool is_lost = with_budget && !out.sampled.contains(trace.randomness);
      const Vote vote = part->vote(trace, is_lost ? Voting::kPeek : voting);
      out.sampled = out.sampled & vote.sampled;
      out.is_limited |= vote.is_limited;
    }
  }
  return out;
}

bool AndPolicy::has_budget() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const auto& p) { return p->has_budget(); });
}

bool AndPolicy::is_monotone() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const auto& p) { return p->is_monotone(); });
}

std::string AndPolicy::detail(const TraceFacts& trace) const {
  std::string out;
  for (const std::unique_ptr<Policy>& part : parts_) {
    if (!out.empty()) out += "; ";
    out += part->name() + ": " + part->detail(trace);
  }
  return out;
}

Vote NotPolicy::vote(const TraceFacts& trace, Voting voting) {
  const Vote inner = part_->vote(trace, voting);
  return {.sampled = inner.sampled.complement(), .is_limited = inner.is_limited};
}

}  // namespace tarsier::tracing
