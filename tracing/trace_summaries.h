#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "tracing/operation_table.h"
#include "tracing/policy/policy_set.h"
#include "tracing/policy/trace_facts.h"
#include "tracing/tail_sampler.h"

namespace tarsier::tracing {

/// A decided trace in 88 bytes: what policies asked of it.
struct JudgedTrace {
  TraceId id;
  std::uint64_t randomness = 0;
  ConditionBits conditions;
  std::uint64_t duration_ns = 0;
  Timestamp decided_at;
  std::uint32_t byte_count = 0;
  std::uint32_t span_count = 0;
  std::uint32_t operation = 0;
  std::uint32_t policies = 0;  ///< Which set asked: its number here.
  std::uint32_t key = 0;       ///< Of the set's first key, its number here; 0: none.
  bool is_kept = false;
  bool has_error = false;
};

/// What a set of policies would have done with the traces of late.
struct Simulation {
  std::uint64_t trace_count = 0;
  std::uint64_t span_count = 0;
  double seconds = 0;  ///< From the first decision to the last.
  struct Totals {
    std::uint64_t traces = 0;
    std::uint64_t spans = 0;
    std::uint64_t bytes = 0;
    std::uint64_t errors = 0;     ///< Traces with a failed span.
    double estimated_traces = 0;  ///< By their weights.
  };
  Totals all;
  Totals kept_before;
  Totals kept_now;
  /// Traces of which too little was recorded to tell.
  Totals unknown;
  struct PolicyCount {
    std::string policy;
    std::uint64_t traces = 0;
  };
  std::vector<PolicyCount> by_policy;  ///< Who decided to keep, most first.
  /// Conditions of the new policies that were not recorded for some of the traces.
  std::vector<std::string> unrecorded;
};

/// The newest decided traces, for trying out other policies on them. A ring in memory, 88 bytes a
/// trace, that grows as traces come. Any number of threads.
class TraceSummaries final {
 public:
  /// 0: nothing is recorded.
  explicit TraceSummaries(std::size_t traces_max = 1'000'000) : traces_max_(traces_max) {}

  /// The number of a set of policies; the same texts give the same number.
  std::uint32_t number_of(const ConditionSet& conditions);
  void add(JudgedTrace summary, const std::vector<std::vector<std::string>>& keys);

  /// Judges every recorded trace anew, oldest first, at the time it was decided. Policies that
  /// learn or have a budget begin anew.
  Simulation simulate(TailSampler& sampler) const;

  std::size_t size() const;
  std::size_t memory_bytes() const;

 private:
  static constexpr std::size_t kChunkSize = 4096;
  struct Recorded {
    std::vector<std::string> conditions;
    std::string key;  ///< The text of its first key.
  };
  using Chunk = std::vector<JudgedTrace>;

  const std::size_t traces_max_;
  mutable Mutex mutex_;
  /// Full ones are shared with simulations and not written any more.
  std::deque<std::shared_ptr<Chunk>> chunks_ GUARDED_BY(mutex_);
  std::vector<Recorded> recorded_ GUARDED_BY(mutex_);
  std::deque<std::vector<std::string>> keys_ GUARDED_BY(mutex_) = {{}};
  std::unordered_map<std::string, std::uint32_t> key_numbers_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tracing
