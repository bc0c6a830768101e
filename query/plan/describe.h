#pragma once

#include <vector>

#include "query/exec/analysis.h"
#include "query/explain.h"
#include "query/plan/plan.h"

namespace tarsier::query {

/// The plan as a list of operators. `analysis` is null when the query was not run.
Explanation describe(const Plan& plan, Analysis* analysis);
std::vector<ExplainedSelection> describe_selections(const Plan& plan);

}  // namespace tarsier::query
