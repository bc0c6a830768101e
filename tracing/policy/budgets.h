#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tracing/policy/policy.h"

namespace tarsier::tracing {

/// Tokens that come at a rate and gather up to a burst. Time only runs forwards: an earlier `now`
/// adds nothing.
class TokenBucket final {
 public:
  TokenBucket(double per_second, double burst)
      : per_second_(per_second), burst_(burst), tokens_(burst) {}
  /// Whether `amount` is there by `now`.
  bool has(double amount, Timestamp now);
  /// REQUIRES: has().
  void take(double amount) { tokens_ -= amount; }
  double tokens() const { return tokens_; }
  double burst() const { return burst_; }
  double per_second() const { return per_second_; }

 private:
  const double per_second_;
  const double burst_;
  double tokens_;
  Timestamp filled_ = kMinTimestamp;
};

/// rate_limiting and bytes_limiting: as many spans (bytes) per second as configured, bursts up to
/// twice that. A trace larger than the burst never passes.
class LimitPolicy final : public Policy {
 public:
  enum class Unit : unsigned char { kSpans, kBytes };
  LimitPolicy(std::string name, Unit unit, TokenBucket bucket)
      : Policy(std::move(name)), unit_(unit), bucket_(bucket) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  bool has_budget() const override { return true; }
  std::string detail(const TraceFacts& trace) const override;

 private:
  double cost(const TraceFacts& trace) const;
  const Unit unit_;
  TokenBucket bucket_;
};

/// The collector's composite, without its defects: parts are asked in `policy_order`; the first
/// that samples the trace and still has spans of its share owns it, and the next is asked when that
/// share is used up; parts without an allocation share what the others leave; all of them together
/// stay below the total.
class CompositePolicy final : public Policy {
 public:
  struct Part {
    std::unique_ptr<Policy> policy;
    TokenBucket share;
  };
  CompositePolicy(std::string name, std::vector<Part> parts, TokenBucket total)
      : Policy(std::move(name)), parts_(std::move(parts)), total_(total) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  bool has_budget() const override { return true; }
  std::string detail(const TraceFacts& trace) const override;
  std::string decider() const override;

 private:
  std::vector<Part> parts_;
  TokenBucket total_;
  const Policy* owner_ = nullptr;
};

}  // namespace tarsier::tracing
