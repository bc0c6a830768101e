#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "tracing/probability.h"

namespace tarsier::tracing {

/// Why a trace was decided at that moment. Stored: never renumber.
enum class DecisionTrigger : std::uint8_t {
  kTimer = 0,     ///< `decision_wait` was over.
  kIdle = 1,      ///< Its root had come, and nothing more for a while.
  kMemory = 2,    ///< The buffer was over its budget.
  kSize = 3,      ///< The trace was larger than a trace may be.
  kShutdown = 4,  ///< The server ended.
  kEarly = 5,     ///< A policy that cannot change its mind kept it while it was arriving.
  kDisk = 6,      ///< The log of undecided spans was over its budget.
};
/// "timer", "idle", ...
std::string_view trigger_name(DecisionTrigger trigger);

/// What became of a trace and why.
struct SamplingDecision {
  bool is_kept = false;
  /// The policy that decided, as the configuration names it; "composite/part" inside of one.
  std::string policy;
  std::string reason;  ///< For people: "status ERROR", "512 ms, threshold 250 ms".
  DecisionTrigger trigger = DecisionTrigger::kTimer;
  Timestamp decided_at;
  /// The `th` that spans of this trace carry from now on, the sender's own included. Nothing when
  /// the probability is no threshold on the randomness, or not known (a rate limiter decided).
  std::optional<Threshold> threshold;
  /// How many traces this one stands for; 0 when that is not known.
  double adjusted_count = 0;
};

}  // namespace tarsier::tracing
