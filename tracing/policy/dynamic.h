#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tracing/policy/policy.h"

namespace tarsier::tracing {

/// Rates by key, as Refinery's samplers compute them: volume per key grows with the logarithm of
/// its traffic, so rare routes and errors stay visible however strong the reduction. A trace's rate
/// N comes from the traffic before it and becomes a threshold on its randomness, so its adjusted
/// count is exactly N, up to the four digits a threshold is written with.
class KeyRates final {
 public:
  struct Options {
    enum class Goal : unsigned char {
      kRate,        ///< `goal` is the overall 1 in N (EMADynamicSampler).
      kThroughput,  ///< `goal` is traces per second overall (EMAThroughputSampler).
    };
    Goal goal_kind = Goal::kRate;
    double goal = 10;
    double initial_rate = 10;  ///< Of kThroughput, until there is data.
    Duration adjustment_interval = seconds(15);
    double weight = 0.5;
    double age_out_value = 0.5;
    double burst_multiple = 2;  ///< 0: bursts are not looked for.
    std::uint32_t burst_detection_delay = 3;
    std::size_t keys_max = 500;
  };
  explicit KeyRates(Options options) : options_(options) {}

  /// The rate for a trace with this key, at least 1.
  double rate(const std::string& key, Timestamp now) const;
  /// Counts it, and computes new rates when an interval has ended or a burst has begun.
  void count(const std::string& key, Timestamp now);
  std::size_t key_count() const { return averages_.size(); }

 private:
  void adjust(Timestamp now);
  void allocate();

  const Options options_;
  std::map<std::string, double> current_;   ///< Of the interval that runs.
  std::map<std::string, double> averages_;  ///< Moving ones.
  std::map<std::string, double> rates_;
  double current_total_ = 0;
  double burst_limit_ = 0;
  std::uint32_t interval_count_ = 0;
  Timestamp interval_begin_ = kMinTimestamp;
  bool has_rates_ = false;
};

/// A dynamic sampler as a policy: the key is made of the distinct values the trace's spans have of
/// some fields, sorted and joined with a bullet.
class DynamicPolicy final : public Policy {
 public:
  struct Key {
    std::uint32_t key_index = 0;  ///< In the ConditionSet.
    bool use_trace_length = false;
  };
  DynamicPolicy(std::string name, Key key, KeyRates::Options options)
      : Policy(std::move(name)), key_(key), rates_(options) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  std::string detail(const TraceFacts& trace) const override;

 private:
  std::string key_of(const TraceFacts& trace) const;
  const Key key_;
  KeyRates rates_;
  double last_rate_ = 1;
};

/// Refinery's rules: the first that matches owns the trace and decides alone. No match keeps
/// everything.
class RulesPolicy final : public Policy {
 public:
  struct Rule {
    std::string name;
    /// All of these must be met, each perhaps by another span (scope trace), or are one condition
    /// that one span meets (scope span).
    ConditionBits conditions;
    /// ... and none of these: operators that say what no span may have.
    ConditionBits excluded;
    std::uint32_t spans_min = 0;  ///< `?.NUM_DESCENDANTS`.
    std::uint32_t spans_max = UINT32_MAX;
    bool is_drop = false;
    Threshold threshold = kKeepAll;   ///< Without a sampler.
    std::unique_ptr<Policy> sampler;  ///< May be null.
  };
  RulesPolicy(std::string name, std::vector<Rule> rules)
      : Policy(std::move(name)), rules_(std::move(rules)) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  std::string detail(const TraceFacts& trace) const override;
  std::string decider() const override;

 private:
  const Rule* owner_of(const TraceFacts& trace) const;
  const std::vector<Rule> rules_;
  const Rule* owner_ = nullptr;
};

}  // namespace tarsier::tracing
