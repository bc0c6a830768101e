#include "query/plan/describe.h"

#include <string>

#include "query/parse/printer.h"

namespace tarsier::query {
namespace {

std::string kind_of(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kNumber: return "number";
    case ExprKind::kString: return "string";
    case ExprKind::kSelector: return "selector";
    case ExprKind::kRange: return "range";
    case ExprKind::kSubquery: return "subquery";
    case ExprKind::kUnary: return "unary";
    case ExprKind::kBinary: return "binary " + std::string(text_of(as<Binary>(e).op));
    case ExprKind::kAggregate: return "aggregate " + std::string(text_of(as<Aggregate>(e).op));
    case ExprKind::kCall: return "call " + std::string(as<Call>(e).function.name);
    case ExprKind::kParen: return "parentheses";
    case ExprKind::kStepInvariant: return "step invariant";
  }
  return "";
}

class Describer final {
 public:
  Describer(const Plan& plan, Analysis* analysis) : plan_(plan), analysis_(analysis) {}

  void visit(const Expr& e, const Grid& grid, std::size_t depth) {
    if (e.kind == ExprKind::kParen) return visit(*as<Paren>(e).inner, grid, depth);
    ExplainedOperator op;
    op.depth = depth;
    op.kind = kind_of(e);
    op.text = print(e);
    op.steps = grid.count;
    if (analysis_ != nullptr) {
      const OperatorFigures& figures = analysis_->of(e);
      op.series = figures.series;
      op.rows = figures.rows;
      op.samples = figures.samples;
      op.seconds = static_cast<double>(figures.nanoseconds) / 1e9;
      op.memory_bytes = figures.memory_bytes;
    }
    explanation.operators.push_back(std::move(op));
    // What is read as a part of its parent: the series of a range.
    if (e.kind == ExprKind::kRange) return;
    Grid inside = grid;
    if (e.kind == ExprKind::kSubquery) inside = plan_.subquery_grid(as<Subquery>(e), grid);
    if (e.kind == ExprKind::kStepInvariant) {
      inside = Grid{grid.start_ms, 0, grid.count == 0 ? std::size_t{0} : std::size_t{1}};
    }
    for (const Expr* child : children_of(e)) visit(*child, inside, depth + 1);
  }

  Explanation explanation;

 private:
  const Plan& plan_;
  Analysis* const analysis_;
};

}  // namespace

Explanation describe(const Plan& plan, Analysis* analysis) {
  Describer describer(plan, analysis);
  describer.visit(*plan.root, plan.grid, 0);
  describer.explanation.is_analyzed = analysis != nullptr;
  describer.explanation.selections = describe_selections(plan);
  return std::move(describer.explanation);
}

std::vector<ExplainedSelection> describe_selections(const Plan& plan) {
  std::vector<ExplainedSelection> selections;
  for (const PlannedSelection& planned : plan.selections) {
    ExplainedSelection& s = selections.emplace_back();
    s.matchers = "{";
    for (const tsdb::Matcher& m : planned.matchers) {
      if (s.matchers.size() > 1) s.matchers += ", ";
      s.matchers += m.to_string();
    }
    s.matchers += "}";
    s.min_time_ms = planned.hints.range.min.ms;
    s.max_time_ms = planned.hints.range.max.ms;
  }
  return selections;
}

}  // namespace tarsier::query
