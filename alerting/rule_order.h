#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "alerting/rule.h"

namespace tarsier::alerting {

/// Indices of rules that may run at the same time.
using RuleBatch = std::vector<std::size_t>;

/// Whether a selector of the rule may match what the earlier one writes.
bool depends_on(const Rule& rule, const Rule& earlier);

/// One after another, in file order.
std::vector<RuleBatch> sequential_batches(std::size_t rule_count);

/// The batches of concurrent evaluation: first what depends on nothing before it, then one by one
/// what depends and is depended on, last what nothing depends on. A rule depends on an earlier one
/// whose output one of its selectors may match; a selector without a metric name may match
/// anything, and then the group is sequential.
std::vector<RuleBatch> concurrent_batches(const std::vector<std::shared_ptr<const Rule>>& rules);

}  // namespace tarsier::alerting
