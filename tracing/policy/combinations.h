#pragma once

#include <string>
#include <vector>

#include "tracing/policy/policy.h"

namespace tarsier::tracing {

// Policies made of others. Inside of them an inverted vote counts as a plain one.

/// All of its parts sample the trace, each perhaps for another span. `drop` is the same, but what
/// all of them match is Dropped, whoever else wants it.
class AndPolicy final : public Policy {
 public:
  enum class Effect : unsigned char { kSample, kDrop };
  AndPolicy(std::string name, PolicyList parts, Effect effect)
      : Policy(std::move(name)), parts_(std::move(parts)), effect_(effect) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  bool has_budget() const override;
  bool is_monotone() const override;
  std::string detail(const TraceFacts& trace) const override;

 private:
  const PolicyList parts_;
  const Effect effect_;
};

/// Samples what its part does not.
class NotPolicy final : public Policy {
 public:
  NotPolicy(std::string name, std::unique_ptr<Policy> part)
      : Policy(std::move(name)), part_(std::move(part)) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  bool has_budget() const override { return part_->has_budget(); }
  std::string detail(const TraceFacts& trace) const override {
    return "not: " + part_->detail(trace);
  }

 private:
  const std::unique_ptr<Policy> part_;
};

}  // namespace tarsier::tracing
