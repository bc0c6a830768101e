#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "tracing/operation_table.h"
#include "tracing/policy/policy_set.h"
#include "tracing/policy/trace_facts.h"
#include "tracing/sampling_decision.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// What is known of a trace from the spans that came so far: all a decision needs, so that no span
/// is looked at twice. Whatever the order of the spans, the same evidence.
struct TraceEvidence {
  ConditionBits conditions;
  std::uint64_t start_ns = UINT64_MAX;
  std::uint64_t end_ns = 0;
  std::uint64_t byte_count = 0;
  std::uint32_t span_count = 0;
  std::uint32_t operation = OperationTable::kOther;
  /// The span that gives the trace its operation: a root, else the one that began first.
  std::uint64_t operation_start_ns = UINT64_MAX;
  SpanId operation_span{UINT64_MAX};
  std::uint64_t threshold = 0;   ///< The highest the sender's spans carry.
  std::uint64_t randomness = 0;  ///< Theirs, if has_randomness.
  std::uint64_t services = 0;    ///< A bit for each service that took part: service_bit().
  bool has_root = false;
  bool has_threshold = false;
  bool has_randomness = false;
  bool has_random_flag = false;  ///< W3C: the id's low 56 bits are random.
  std::vector<std::vector<std::string>> keys;

  std::uint64_t duration_ns() const { return end_ns > start_ns ? end_ns - start_ns : 0; }
};

/// Judges traces by one set of policies. The verdict is the same whatever the order of the spans,
/// but for policies with budgets. Made once per configuration; a trace is judged by the policies
/// under which its first span came. Any number of threads; votes take a lock of its own.
class TailSampler final {
 public:
  struct Options {
    bool sample_on_first_match = false;
  };
  /// `operations` must outlive it.
  TailSampler(std::unique_ptr<PolicySet> policies, OperationTable& operations, Options options);

  /// Buffers of one thread, filled per batch.
  struct Scratch {
    ConditionSet::Scratch conditions;
    std::vector<std::vector<FieldValue>> resources;  ///< Parallel to the batch's.
    std::vector<std::uint64_t> services;             ///< Likewise.
  };
  /// Reads what the policies ask of the batch's resources. `scratch` borrows from the batch.
  void begin_batch(const SpanBatch& batch, Scratch& scratch) const;
  /// Adds a span of the batch to the evidence.
  void observe(const SpanBatch& batch, const SpanRecord& span, Scratch& scratch,
               TraceEvidence& evidence) const;

  struct Context {
    TraceId id;
    Timestamp now;
    DecisionTrigger trigger = DecisionTrigger::kTimer;
    bool is_pinned = false;
    /// From outside: kept at least at this probability. kKeepNone: nothing asked.
    Threshold boost = kKeepNone;
  };
  /// The verdict; charges budgets and lets policies learn. The reason is only filled in for kept
  /// traces.
  SamplingDecision decide(const TraceEvidence& evidence, const Context& context);
  /// Whether a policy that cannot change its mind keeps the trace already. Charges nothing.
  bool is_kept_for_good(const TraceEvidence& evidence, const Context& context);
  /// Some span has failed.
  bool has_error(const TraceEvidence& evidence) const {
    return evidence.conditions[policies_->error_condition];
  }
  TraceFacts facts_of(const TraceEvidence& evidence, const Context& context) const;

  /// One policy's answer, for explanations. Nothing is charged.
  struct Opinion {
    std::string policy;
    std::string vote;
    std::string detail;
  };
  std::vector<Opinion> explain(const TraceEvidence& evidence, const Context& context);

  const ConditionSet& conditions() const { return policies_->conditions; }
  std::vector<std::string> policy_names() const;

  /// A verdict on plain facts: for recorded traces. `voting` as of Policy::vote.
  struct Verdict {
    bool is_kept = false;
    const Policy* decider = nullptr;  ///< Null: nobody wanted it, or not a policy.
    bool is_limited = false;
    RandomnessSet kept = RandomnessSet::none();  ///< For which randomness, budgets aside.
  };
  Verdict judge(const TraceFacts& facts, Voting voting) EXCLUDES_LOCK(mutex_);
  /// The randomness a trace is judged by, and whether others can see it.
  struct Randomness {
    std::uint64_t value = 0;
    bool is_public = false;
  };
  /// One of 64 bits: several services share one.
  static std::uint64_t service_bit(std::string_view service);
  static Randomness randomness_of(const TraceEvidence& evidence, TraceId id);

 private:
  Verdict judge_locked(const TraceFacts& facts, Voting voting) REQUIRES_LOCK(mutex_);
  /// The exact probability over all draws of salted hashes; 0 when it cannot be known.
  double salted_probability(TraceFacts facts, Threshold incoming, Threshold boost)
      REQUIRES_LOCK(mutex_);

  const std::unique_ptr<PolicySet> policies_;
  OperationTable& operations_;
  const Options options_;
  Mutex mutex_;  // Guards what the policies learn and spend.
};

}  // namespace tarsier::tracing
