#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "tracing/policy/condition_set.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// All a policy may know of a trace when it votes: what was gathered while its spans arrived. The
/// same whatever the order they came in.
struct TraceFacts {
  TraceId id;
  std::uint64_t randomness = 0;  ///< 56 bits.
  std::uint64_t start_ns = 0;    ///< The earliest start ...
  std::uint64_t end_ns = 0;      ///< ... and the latest end of any span.
  std::uint32_t span_count = 0;
  std::uint64_t byte_count = 0;  ///< Of the spans' protobuf messages.
  ConditionBits conditions;
  std::uint32_t operation = 0;  ///< Its number in the OperationTable.
  /// Distinct values, per key of the ConditionSet.
  std::span<const std::vector<std::string>> keys;
  Timestamp now;
  /// For each salt of the policies a number in [0, 1) that stands for the salted hash; empty: the
  /// hash itself counts.
  std::span<const double> draws;

  std::uint64_t duration_ns() const { return end_ns > start_ns ? end_ns - start_ns : 0; }
};

}  // namespace tarsier::tracing
