#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tracing/policy/policy.h"

namespace tarsier::tracing {

// Policies that look at one trace alone: the same trace, the same answer.

class AlwaysSample final : public Policy {
 public:
  using Policy::Policy;
  Vote vote(const TraceFacts&, Voting) override { return Vote::if_true(true); }
  bool is_monotone() const override { return true; }
  std::string detail(const TraceFacts&) const override { return "always"; }
};

/// By the time from the earliest start to the latest end: at or above the threshold; with an upper
/// bound, above the threshold and at most there.
class LatencyPolicy final : public Policy {
 public:
  struct Bounds {
    std::uint64_t threshold_ms = 0;
    std::uint64_t upper_threshold_ms = 0;  ///< 0: none.
  };
  LatencyPolicy(std::string name, Bounds bounds) : Policy(std::move(name)), bounds_(bounds) {}
  Vote vote(const TraceFacts& trace, Voting) override;
  bool is_monotone() const override { return bounds_.upper_threshold_ms == 0; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  const Bounds bounds_;
};

/// Whether some span of the trace met a condition: status_code, the attribute policies,
/// trace_state, trace_flags. `inverted` is the collector's invert_match.
class ConditionPolicy final : public Policy {
 public:
  enum class Match : unsigned char { kPlain, kInverted };
  ConditionPolicy(std::string name, std::uint32_t condition, Match match, std::string text)
      : Policy(std::move(name)), condition_(condition), match_(match), text_(std::move(text)) {}
  Vote vote(const TraceFacts& trace, Voting) override;
  bool is_monotone() const override { return match_ == Match::kPlain; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  const std::uint32_t condition_;
  const Match match_;
  const std::string text_;
};

/// Any of several conditions: ottl_condition.
class AnyConditionPolicy final : public Policy {
 public:
  AnyConditionPolicy(std::string name, ConditionBits conditions)
      : Policy(std::move(name)), conditions_(conditions) {}
  Vote vote(const TraceFacts& trace, Voting) override {
    return Vote::if_true((trace.conditions & conditions_).any());
  }
  bool is_monotone() const override { return true; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  const ConditionBits conditions_;
};

/// min <= spans <= max, both included.
class SpanCountPolicy final : public Policy {
 public:
  struct Bounds {
    std::uint64_t min_spans = 0;
    std::uint64_t max_spans = 0;  ///< 0: none.
  };
  SpanCountPolicy(std::string name, Bounds bounds) : Policy(std::move(name)), bounds_(bounds) {}
  Vote vote(const TraceFacts& trace, Voting) override;
  bool is_monotone() const override { return bounds_.max_spans == 0; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  const Bounds bounds_;
};

/// A share of all traces, by their own randomness: consistent with every other sampler that works
/// so, and its kept traces carry an exact `th`.
class ThresholdPolicy final : public Policy {
 public:
  ThresholdPolicy(std::string name, Threshold threshold)
      : Policy(std::move(name)), threshold_(threshold) {}
  Vote vote(const TraceFacts&, Voting) override {
    return Vote::plain(RandomnessSet::from(threshold_));
  }
  bool is_monotone() const override { return true; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  const Threshold threshold_;
};

/// A share of all traces by FNV-1a 64 of a salt and the trace id, exactly as the collector draws
/// it: decisions equal a collector's with the same salt.
class SaltedPolicy final : public Policy {
 public:
  struct Draw {
    std::string hash_salt;
    double percentage = 0;         ///< 0 to 100.
    std::uint32_t salt_index = 0;  ///< Its number among the salts of the configuration.
  };
  SaltedPolicy(std::string name, Draw draw) : Policy(std::move(name)), draw_(std::move(draw)) {}
  Vote vote(const TraceFacts& trace, Voting) override;
  bool is_monotone() const override { return true; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  const Draw draw_;
};

/// FNV-1a 64 of `salt` and the 16 bytes of `id`.
std::uint64_t salted_hash(std::string_view salt, TraceId id);
/// "12.5 ms", "3.2 s".
std::string duration_text(std::uint64_t duration_ns);

}  // namespace tarsier::tracing
