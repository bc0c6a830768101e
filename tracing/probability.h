#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tracing/trace_id.h"
#include "tracing/trace_state.h"

namespace tarsier::tracing {

// Consistent probability sampling as OpenTelemetry has it: every trace carries 56 bits of
// randomness R, and a sampler with rejection threshold T keeps it when R >= T. All samplers that
// see a trace see the same R, so a later one can only raise T, and the number of traces a kept one
// stands for is exactly 2^56 / (2^56 - T).

inline constexpr std::uint64_t kRandomnessEnd = kSamplingScale;

/// A rejection threshold, 0 (keeps everything) to 2^56 (keeps nothing; has no encoding).
struct Threshold {
  std::uint64_t value = 0;
  auto operator<=>(const Threshold&) const = default;
  /// The share of traces that pass.
  double probability() const {
    return static_cast<double>(kRandomnessEnd - value) / static_cast<double>(kRandomnessEnd);
  }
  /// How many traces a kept one stands for. REQUIRES: value < kRandomnessEnd.
  double adjusted_count() const { return 1.0 / probability(); }
};
inline constexpr Threshold kKeepAll{0};
inline constexpr Threshold kKeepNone{kRandomnessEnd};

/// The threshold that keeps `probability` of all traces, rounded to what `encode_threshold` writes
/// with `digits` digits of precision, so that its adjusted count is the exact one. At most 1; below
/// 2^-56 nothing is kept.
Threshold threshold_of(double probability, unsigned digits = 4);
/// 1 to 14 lower-case hexadecimal digits without the zeros at the end. REQUIRES: below 2^56.
std::string encode_threshold(Threshold threshold);
/// `trace_state` with `th` of OpenTelemetry's member set, or erased when there is no threshold;
/// every other member and sub-key stays, a member that is written goes to the front.
std::string with_threshold(std::string_view trace_state, std::optional<Threshold> threshold);

/// The randomness of a trace whose state says none: the low 56 bits of its id.
constexpr std::uint64_t id_randomness(TraceId id) { return id.low & (kRandomnessEnd - 1); }

}  // namespace tarsier::tracing
