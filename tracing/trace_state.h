#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tracing/trace_id.h"

namespace tarsier::tracing {

/// 2^56: thresholds and randomness are below it.
inline constexpr std::uint64_t kSamplingScale = std::uint64_t{1} << 56;

/// The member `ot` of a W3C trace state as far as sampling reads it (OpenTelemetry: "TraceState:
/// probability sampling"). A span is kept if its randomness is not below the threshold.
struct OtelTraceState {
  std::optional<std::uint64_t> threshold;   ///< `th`; absent: the probability is unknown.
  std::optional<std::uint64_t> randomness;  ///< `rv`; absent: the low 56 bits of the trace id.
  bool has_invalid_value = false;           ///< A `th` or `rv` that is none, taken as absent.
};

/// The value of `key` in a trace state ("ot", "tenant@system"), untrimmed of nothing but white
/// space around the member; nothing if it is not there.
std::optional<std::string_view> trace_state_member(std::string_view trace_state,
                                                   std::string_view key);
OtelTraceState parse_otel_trace_state(std::string_view trace_state);

/// How many spans one kept at this threshold stands for: exactly 1 / probability.
double adjusted_count(std::uint64_t threshold);

}  // namespace tarsier::tracing
