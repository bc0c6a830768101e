#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tracing/policy/randomness_set.h"
#include "tracing/policy/trace_facts.h"

namespace tarsier::tracing {

/// A policy's answer for one trace, for every value its randomness could have.
struct Vote {
  enum class Kind : std::uint8_t {
    kPlain,     ///< Sampled within `sampled`, NotSampled elsewhere.
    kInverted,  ///< InvertSampled within, InvertNotSampled elsewhere (`invert_match`).
    kDrop,      ///< Dropped within, no vote elsewhere.
  };
  Kind kind = Kind::kPlain;
  RandomnessSet sampled = RandomnessSet::none();
  /// A budget decided: how probable this was is not known.
  bool is_limited = false;

  static Vote plain(RandomnessSet set) { return {.sampled = std::move(set)}; }
  static Vote if_true(bool is_sampled) { return plain(RandomnessSet::if_true(is_sampled)); }
};

/// What a policy's vote does beside answering.
enum class Voting : unsigned char {
  kCharge,  ///< Takes from budgets, learns from traffic.
  kPeek,    ///< Changes nothing.
};

/// One sampling policy. Votes are a function of the trace and, for those that learn or have a
/// budget, of the traces before it; never of the randomness itself, so that the size of `sampled`
/// is an exact probability. One thread at a time.
class Policy {
 public:
  explicit Policy(std::string name) : name_(std::move(name)) {}
  virtual ~Policy() = default;

  const std::string& name() const { return name_; }
  virtual Vote vote(const TraceFacts& trace, Voting voting) = 0;
  /// Has a budget: is asked last, and only if nobody else keeps the trace.
  virtual bool has_budget() const { return false; }
  /// Once it keeps a trace, no further span can change its mind.
  virtual bool is_monotone() const { return false; }
  /// Why it keeps or does not keep the trace, for people.
  virtual std::string detail(const TraceFacts& trace) const = 0;
  /// The part that decided in the last vote, for policies made of others; else its own name.
  virtual std::string decider() const { return name_; }

 private:
  const std::string name_;
};

using PolicyList = std::vector<std::unique_ptr<Policy>>;

}  // namespace tarsier::tracing
