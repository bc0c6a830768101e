#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json_writer.h"

namespace tarsier::query {

/// One operator of a plan, and what it did if the query was run.
struct ExplainedOperator {
  std::size_t depth = 0;
  std::string kind;  ///< "selector", "range", "call rate", "aggregate sum", "step invariant", ...
  std::string text;  ///< The part of the query it computes, in canonical form.
  std::uint64_t steps = 0;
  std::uint64_t series = 0;
  std::uint64_t rows = 0;
  std::uint64_t samples = 0;
  double seconds = 0;  ///< With the operators below it, all threads together.
  std::uint64_t memory_bytes = 0;
};

/// One selection of the plan: several selectors may share it.
struct ExplainedSelection {
  std::string matchers;
  std::int64_t min_time_ms = 0;
  std::int64_t max_time_ms = 0;
  std::uint64_t series = 0;   ///< Counted for estimates and analyses.
  std::uint64_t samples = 0;  ///< Estimated.
};

/// What /api/tarsier/v1/explain tells.
struct Explanation {
  bool is_analyzed = false;
  std::vector<ExplainedOperator> operators;  ///< Parents before children.
  std::vector<ExplainedSelection> selections;
};

/// What a query would cost, before it is run: /api/v1/query_cost.
struct QueryCost {
  std::vector<ExplainedSelection> selections;
  std::uint64_t series = 0;
  std::uint64_t samples = 0;
  std::uint64_t steps = 0;
  std::uint64_t memory_bytes = 0;  ///< At most: if every series reached the result.
};

void write_explanation(JsonWriter& json, const Explanation& explanation);
void write_cost(JsonWriter& json, const QueryCost& cost);

}  // namespace tarsier::query
