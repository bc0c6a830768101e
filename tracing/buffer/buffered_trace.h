#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "tracing/buffer/held_batch.h"
#include "tracing/decision_log.h"
#include "tracing/trace_buffer.h"

// What trace_buffer.cc and trace_buffer_decisions.cc share.

namespace tarsier::tracing {

/// The rules with what is derived from them. Immutable once published.
struct TraceBuffer::InForce {
  SamplingRules rules;
  std::uint32_t summary_number = 0;
  struct Boost {
    std::uint64_t service_bit = 0;
    Threshold threshold = kKeepNone;
  };
  std::vector<Boost> boosts;

  Threshold boost_of(const TraceEvidence& evidence) const {
    Threshold out = kKeepNone;
    for (const Boost& boost : boosts) {
      if ((evidence.services & boost.service_bit) != 0) out = std::min(out, boost.threshold);
    }
    return out;
  }
};

/// One undecided trace.
struct TraceBuffer::Trace {
  /// By what two spans are the same one, and where it is.
  struct Span {
    std::uint64_t span_id = 0;
    std::uint32_t index = 0;  ///< In the batch of its part.
    std::int32_t kind = 0;
  };
  /// The spans from `begin` to the next part's came in one batch.
  struct Part {
    std::shared_ptr<HeldBatch> batch;
    std::uint32_t begin = 0;
    std::uint64_t byte_count = 0;
  };

  std::shared_ptr<const InForce> rules;  ///< In force when its first span came.
  TraceEvidence evidence;
  std::vector<Part> parts;
  std::vector<Span> spans;
  /// Once there are many: where in `spans` one with this hash is.
  std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash;
  Timestamp first_seen;
  Timestamp last_seen;
  std::int64_t planned_tick = 0;          ///< The earliest place in the wheel.
  std::optional<DecisionTrigger> forced;  ///< Due now, because of this.
  bool is_pinned = false;
  bool is_too_large = false;
  /// Set for spans that came after the decision on their trace.
  std::optional<SamplingDecision> followed;

  bool has(std::uint64_t span_id, std::int32_t kind) const;
  void add(const Span& span);
  std::uint64_t memory_bytes() const {
    return sizeof(Trace) + 96 + spans.capacity() * sizeof(Span) + parts.capacity() * sizeof(Part) +
           by_hash.size() * 48;
  }
  /// When it is decided if nothing more comes.
  Timestamp due(Duration idle_wait) const;
};

/// Traces by id, and when to look at them: ticks of 100 ms.
struct TraceBuffer::Shard {
  static constexpr std::int64_t kTickMs = 100;

  mutable Mutex mutex;
  std::unordered_map<TraceId, std::unique_ptr<Trace>, TraceIdHash> traces GUARDED_BY(mutex);
  /// Decided to be kept, not yet found in the sink: queries see them here. More of one trace when
  /// spans come late.
  std::unordered_multimap<TraceId, const Trace*, TraceIdHash> leaving GUARDED_BY(mutex);
  std::map<std::int64_t, std::vector<TraceId>> wheel GUARDED_BY(mutex);

  void plan(TraceId id, Trace& trace, Timestamp due) REQUIRES_LOCK(mutex);
  void forget_leaving(TraceId id, const Trace& trace);
};

/// A decided trace on its way to the sink.
struct TraceBuffer::Decided {
  TraceId id;
  std::unique_ptr<Trace> trace;
  SamplingDecision decision;
};

struct TraceBuffer::Storage {
  std::unique_ptr<SpanLog> log;
  HeldBatchAccount account;
  Mutex mutex;
  /// In the order they came, for eviction.
  std::deque<std::weak_ptr<HeldBatch>> held GUARDED_BY(mutex);
};

}  // namespace tarsier::tracing
