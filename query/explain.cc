#include "query/explain.h"

#include <algorithm>

namespace tarsier::query {
namespace {

/// Writes operator i with what hangs below it; returns the position behind them.
std::size_t write_operator(JsonWriter& json, const Explanation& explanation, std::size_t i) {
  const ExplainedOperator& op = explanation.operators[i];
  json.begin_object().field("operator", op.kind).field("expr", op.text).field("steps", op.steps);
  std::size_t next = i + 1;
  if (explanation.is_analyzed) {
    double below = 0;
    for (std::size_t k = next; k < explanation.operators.size(); ++k) {
      const ExplainedOperator& other = explanation.operators[k];
      if (other.depth <= op.depth) break;
      if (other.depth == op.depth + 1) below += other.seconds;
    }
    json.field("series", op.series).field("rows", op.rows).field("samples", op.samples);
    json.field("seconds", op.seconds).field("selfSeconds", std::max(0.0, op.seconds - below));
    json.field("memoryBytes", op.memory_bytes);
  }
  json.key("children").begin_array();
  while (next < explanation.operators.size() && explanation.operators[next].depth > op.depth) {
    next = write_operator(json, explanation, next);
  }
  json.end_array().end_object();
  return next;
}

void write_selections(JsonWriter& json, const std::vector<ExplainedSelection>& selections,
                      bool is_counted) {
  json.key("selectors").begin_array();
  for (const ExplainedSelection& s : selections) {
    json.begin_object().field("selector", s.matchers);
    json.field("minTime", s.min_time_ms).field("maxTime", s.max_time_ms);
    if (is_counted) json.field("series", s.series).field("samples", s.samples);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

void write_explanation(JsonWriter& json, const Explanation& explanation) {
  json.begin_object().field("analyzed", explanation.is_analyzed).key("plan");
  if (explanation.operators.empty()) {
    json.null();
  } else {
    write_operator(json, explanation, 0);
  }
  write_selections(json, explanation.selections, false);
  json.end_object();
}

void write_cost(JsonWriter& json, const QueryCost& cost) {
  json.begin_object();
  json.field("series", cost.series).field("samples", cost.samples).field("steps", cost.steps);
  json.field("memoryBytes", cost.memory_bytes);
  write_selections(json, cost.selections, true);
  json.end_object();
}

}  // namespace tarsier::query
