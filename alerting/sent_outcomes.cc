#include "alerting/sent_outcomes.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tarsier::alerting {

void SentOutcomes::add(SentOutcome outcome) {
  outcome.last_at = outcome.at;
  std::pair<Fingerprint, std::string> key{outcome.origin, outcome.url};
  if (const auto known = newest_.find(key); known != newest_.end()) {
    SentOutcome& last = outcomes_[static_cast<std::size_t>(known->second - first_number_)];
    if (last.starts_at == outcome.starts_at && last.is_resolved == outcome.is_resolved &&
        last.status == outcome.status && last.problem == outcome.problem) {
      ++last.count;
      last.last_at = outcome.at;
      return;
    }
  }
  newest_[std::move(key)] = first_number_ + outcomes_.size();
  outcomes_.push_back(std::move(outcome));
  if (outcomes_.size() <= capacity_) return;
  const SentOutcome& oldest = outcomes_.front();
  const auto named = newest_.find({oldest.origin, oldest.url});
  if (named != newest_.end() && named->second == first_number_) newest_.erase(named);
  outcomes_.pop_front();
  ++first_number_;
}

std::vector<SentOutcome> SentOutcomes::find(Fingerprint origin) const {
  std::vector<SentOutcome> out;
  std::copy_if(outcomes_.begin(), outcomes_.end(), std::back_inserter(out),
               [&](const SentOutcome& one) { return one.origin == origin; });
  return out;
}

}  // namespace tarsier::alerting
