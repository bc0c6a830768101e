#include "alerting/silence.h"

#include <algorithm>

namespace tarsier::alerting {

std::string_view silence_state_name(SilenceState state) {
  switch (state) {
    case SilenceState::kExpired: return "expired";
    case SilenceState::kActive: return "active";
    case SilenceState::kPending: return "pending";
  }
  return "expired";
}

SilenceState Silence::state_at(Timestamp now) const {
  if (now < starts_at) return SilenceState::kPending;
  return ends_at <= now ? SilenceState::kExpired : SilenceState::kActive;
}

bool Silence::matches(const tsdb::Labels& labels) const {
  return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
    return matcher.matches(labels.get(matcher.name()));
  });
}

}  // namespace tarsier::alerting
