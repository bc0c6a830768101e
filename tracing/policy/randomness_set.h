#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tracing/probability.h"

namespace tarsier::tracing {

/// The values of a trace's randomness for which something is true of it: a threshold policy keeps
/// [T, 2^56), its negation [0, T). With these, a whole set of policies becomes one set whose size
/// is the trace's exact probability of being kept. Sorted, disjoint, never touching ranges.
class RandomnessSet final {
 public:
  static RandomnessSet none() { return {}; }
  static RandomnessSet all() { return RandomnessSet({{0, kRandomnessEnd}}); }
  static RandomnessSet if_true(bool condition) { return condition ? all() : none(); }
  static RandomnessSet from(Threshold threshold) {
    if (threshold.value >= kRandomnessEnd) return none();
    return RandomnessSet({{threshold.value, kRandomnessEnd}});
  }

  bool is_none() const { return ranges_.empty(); }
  bool is_all() const {
    return ranges_.size() == 1 && ranges_[0].begin == 0 && ranges_[0].end == kRandomnessEnd;
  }
  bool contains(std::uint64_t randomness) const;
  RandomnessSet complement() const;
  /// The share of all randomness in it.
  double probability() const;
  /// T, if the set is [T, 2^56).
  std::optional<Threshold> threshold() const;

  friend RandomnessSet operator|(const RandomnessSet& a, const RandomnessSet& b);
  friend RandomnessSet operator&(const RandomnessSet& a, const RandomnessSet& b);

 private:
  struct Range {
    std::uint64_t begin;
    std::uint64_t end;  ///< Exclusive.
  };
  RandomnessSet() = default;
  explicit RandomnessSet(std::vector<Range> ranges) : ranges_(std::move(ranges)) {}

  std::vector<Range> ranges_;
};

}  // namespace tarsier::tracing
