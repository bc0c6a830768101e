#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "tracing/policy/condition_set.h"
#include "tracing/policy/policy.h"

namespace tarsier::tracing {

/// The policies of one configuration, compiled: what they ask of spans, and who votes.
struct PolicySet {
  ConditionSet conditions;
  PolicyList policies;  ///< Drops first, then in the order of the configuration.
  /// Where a salted draw changes its answer, per salt: shares in [0, 1], ascending.
  struct Salt {
    std::string text;
    std::vector<double> steps;
  };
  std::vector<Salt> salts;
  std::uint32_t error_condition = 0;  ///< Always asked: some span has the status ERROR.
};

/// Compiles a list of policies spelled as the collector's tail_sampling processor spells them:
/// `[{"name": ..., "type": ..., "<type>": {...}}, ...]`. An empty list means
/// `kDefaultPolicies`. kInvalid names the place: `policies[2].latency.threshold_ms: ...`.
Result<std::unique_ptr<PolicySet>> compile_policies(const JsonValue& list);
Result<std::unique_ptr<PolicySet>> compile_policies(std::string_view json);

/// What holds without any configuration: all errors, what is slow for its operation, at least one
/// trace per operation and minute, and 1 % of the rest.
extern const std::string_view kDefaultPolicies;

}  // namespace tarsier::tracing
