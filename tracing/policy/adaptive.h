#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracing/policy/policy.h"

namespace tarsier::tracing {

/// Slow for its operation: at or above a quantile of the operation's own recent traces, or three
/// times what nine in ten take, whichever is less: so a few percent of slow ones do not become
/// usual. What counts is learned from the traces before this one, so it is a property of the trace
/// and kept traces stay unbiased. Until an operation has shown `traces_min` traces, a fixed
/// threshold holds. Durations are counted in buckets that grow by 19 % (four to an octave), halved
/// every `half_life`; a threshold is the upper bound of its bucket.
class AdaptiveLatencyPolicy final : public Policy {
 public:
  struct Options {
    double quantile = 0.99;
    std::uint32_t traces_min = 200;
    std::uint64_t threshold_ms = 1000;  ///< Until then.
    Duration half_life = minutes(5);
    std::size_t operations_max = 10'000;  ///< The rest uses the fixed threshold.
  };
  AdaptiveLatencyPolicy(std::string name, Options options)
      : Policy(std::move(name)), options_(options) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  std::string detail(const TraceFacts& trace) const override;
  std::uint64_t threshold_ns(std::uint32_t operation) const;

 private:
  static constexpr std::size_t kBucketCount = 160;  // 2^40 ns is 18 minutes.
  struct Operation {
    std::array<float, kBucketCount> counts{};
    float total = 0;
    std::uint32_t since_update = 0;
    std::uint64_t threshold_ns = 0;  ///< 0: the fixed one.
    Timestamp halved;
  };
  static std::size_t bucket_of(std::uint64_t duration_ns);
  void learn(const TraceFacts& trace);
  void update(Operation& operation) const;

  const Options options_;
  std::unordered_map<std::uint32_t, Operation> operations_;
};

/// The first traces of each operation in each interval, so that nothing that happens at all is
/// without an example. Which trace comes first has nothing to do with its randomness: it stands for
/// itself, the others for all others.
class OperationMinimumPolicy final : public Policy {
 public:
  struct Options {
    std::uint32_t traces = 1;
    Duration interval = minutes(1);
    std::size_t operations_max = 100'000;
  };
  OperationMinimumPolicy(std::string name, Options options)
      : Policy(std::move(name)), options_(options) {}
  Vote vote(const TraceFacts& trace, Voting voting) override;
  std::string detail(const TraceFacts& trace) const override;

 private:
  struct Seen {
    std::int64_t interval = -1;
    std::uint32_t count = 0;
  };
  const Options options_;
  std::unordered_map<std::uint32_t, Seen> seen_;
};

}  // namespace tarsier::tracing
