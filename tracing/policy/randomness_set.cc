#include "tracing/policy/randomness_set.h"

#include <algorithm>

namespace tarsier::tracing {

bool RandomnessSet::contains(std::uint64_t randomness) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [randomness](const Range& range) {
    return range.begin <= randomness && randomness < range.end;
  });
}

RandomnessSet RandomnessSet::complement() const {
  std::vector<Range> out;
  std::uint64_t at = 0;
  for (const Range& range : ranges_) {
    if (at < range.begin) out.push_back({at, range.begin});
    at = range.end;
  }
  if (at < kRandomnessEnd) out.push_back({at, kRandomnessEnd});
  return RandomnessSet(std::move(out));
}

double RandomnessSet::probability() const {
  std::uint64_t size = 0;
  for (const Range& range : ranges_) size += range.end - range.begin;
  return static_cast<double>(size) / static_cast<double>(kRandomnessEnd);
}

std::optional<Threshold> RandomnessSet::threshold() const {
  if (ranges_.size() != 1 || ranges_[0].end != kRandomnessEnd) return std::nullopt;
  return Threshold{ranges_[0].begin};
}

RandomnessSet operator&(const RandomnessSet& a, const RandomnessSet& b) {
  if (a.is_all()) return b;
  if (b.is_all()) return a;
  std::vector<RandomnessSet::Range> out;
  for (std::size_t i = 0, k = 0; i < a.ranges_.size() && k < b.ranges_.size();) {
    const std::uint64_t begin = std::max(a.ranges_[i].begin, b.ranges_[k].begin);
    const std::uint64_t end = std::min(a.ranges_[i].end, b.ranges_[k].end);
    if (begin < end) out.push_back({begin, end});
    if (a.ranges_[i].end < b.ranges_[k].end) {
      ++i;
    } else {
      ++k;
    }
  }
  return RandomnessSet(std::move(out));
}

RandomnessSet operator|(const RandomnessSet& a, const RandomnessSet& b) {
  if (a.is_none() || b.is_all()) return b;
  if (b.is_none() || a.is_all()) return a;
  return (a.complement() & b.complement()).complement();
}

}  // namespace tarsier::tracing
