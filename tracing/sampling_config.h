#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/operation_table.h"
#include "tracing/trace_buffer.h"

namespace tarsier::tracing {

/// `traces.sampling`: the configuration of the collector's tail_sampling processor, spelled the
/// same, and what is our own. Plain data, compared when a file is read again.
struct SamplingConfig {
  std::string policies = "[]";  ///< As JSON; an empty list means the defaults.
  Duration decision_wait = seconds(30);
  std::optional<Duration> decision_wait_after_root_received;
  bool sample_on_first_match = false;
  bool decides_early = false;         ///< sampling_strategy: span-ingest.
  std::uint64_t trace_bytes_max = 0;  ///< maximum_trace_size_bytes.
  std::uint64_t traces_max = 0;       ///< num_traces.
  // Ours; in force from the next start on.
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;  ///< buffer_memory
  std::uint64_t log_bytes = std::uint64_t{8} << 30;       ///< buffer_disk
  Duration decision_retention = hours(48);                ///< decision_retention
  std::uint64_t decision_bytes = std::uint64_t{2} << 30;  ///< decision_disk
  std::uint64_t recorded_traces_max = 1'000'000;          ///< recorded_traces, for simulations.
  bool operator==(const SamplingConfig&) const = default;
};

/// kInvalid naming the place. `warnings` gets what is accepted and has no effect here.
Result<SamplingConfig> parse_sampling(const JsonValue& map, std::vector<std::string>& warnings);

/// What a configuration makes of traces from now on. REQUIRES: it was parsed.
Result<SamplingRules> make_rules(const SamplingConfig& config, OperationTable& operations);

}  // namespace tarsier::tracing
