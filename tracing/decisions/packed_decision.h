#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "tracing/sampling_decision.h"
#include "tracing/trace_id.h"

namespace tarsier::tracing {

/// What a decision is remembered by: 56 bits of a hash of the trace id. Two of a billion traces
/// share one with a probability of one in 100 million.
struct TraceFingerprint {
  std::uint64_t value = 0;
  auto operator<=>(const TraceFingerprint&) const = default;
};
TraceFingerprint fingerprint_of(TraceId id);

/// The traits of a trace that its decision is remembered with.
struct DecisionInputs {
  bool has_error = false;
  bool has_root = false;
  std::uint64_t duration_ns = 0;
  std::uint32_t span_count = 0;
};

/// A decision and its inputs in 64 bits (FORMAT.md, "Decision log"): thresholds as they are written
/// by us, durations within 9 %, span counts within 20 %, times to the second.
struct PackedDecision {
  std::uint64_t bits = 0;

  struct Parts {
    bool is_kept = false;
    DecisionTrigger trigger = DecisionTrigger::kTimer;
    DecisionInputs inputs;
    std::uint32_t policy_number = 0;     ///< Within the segment; 0: none.
    std::optional<Threshold> threshold;  ///< Nothing: dropped, or not known.
    std::uint32_t seconds = 0;           ///< Since the segment began.
  };
  static PackedDecision pack(const Parts& parts);
  Parts unpack() const;
  bool is_kept() const { return (bits & 1) != 0; }
};

inline constexpr std::uint32_t kPolicyNumberMax = 1023;
inline constexpr std::uint32_t kSegmentSecondsMax = 4095;

}  // namespace tarsier::tracing
