#include "query/plan/histogram_statistics.h"

namespace tarsier::query {
namespace {

struct Use {
  bool asks_statistics = false;
  bool needs_buckets = false;
};

Use use_inside(const Expr& e, Use use) {
  if (e.kind == ExprKind::kSubquery) use.needs_buckets = true;
  if (e.kind == ExprKind::kBinary && is_trim(as<Binary>(e).op)) use.needs_buckets = true;
  if (e.kind != ExprKind::kCall) return use;
  switch (as<Call>(e).function.id) {
    case FunctionId::kHistogramCount:
    case FunctionId::kHistogramSum:
    case FunctionId::kHistogramAvg: use.asks_statistics = true; break;
    case FunctionId::kHistogramQuantile:
    case FunctionId::kHistogramQuantiles:
    case FunctionId::kHistogramFraction: use.needs_buckets = true; break;
    default: break;
  }
  return use;
}

void visit(const Expr& e, Use use, std::unordered_set<const Selector*>& found) {
  if (e.kind == ExprKind::kSelector && use.asks_statistics && !use.needs_buckets) {
    found.insert(&as<Selector>(e));
  }
  if (e.kind == ExprKind::kRange) return visit(*as<Range>(e).selector, use, found);
  for (const Expr* child : children_of(e)) visit(*child, use_inside(e, use), found);
}

}  // namespace

std::unordered_set<const Selector*> statistics_selectors(const Expr& root) {
  std::unordered_set<const Selector*> found;
  visit(root, {}, found);
  return found;
}

}  // namespace tarsier::query
