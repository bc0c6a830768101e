#include "query/expression.h"

#include "query/histogram/text.h"
#include "query/parse/printer.h"

namespace tarsier::query {
namespace {

void collect(const Expr& e, std::vector<std::vector<tsdb::Matcher>>& out) {
  if (e.kind == ExprKind::kSelector) out.push_back(as<Selector>(e).matchers);
  for (const Expr* const child : children_of(e)) collect(*child, out);
}

}  // namespace

std::string canonical_text(const Expr& e) { return print(e); }

std::vector<std::vector<tsdb::Matcher>> selectors_of(const Expr& e) {
  std::vector<std::vector<tsdb::Matcher>> out;
  collect(e, out);
  return out;
}

std::string histogram_text(const tsdb::FloatHistogram& histogram) {
  return histogram_text(view_of(histogram));
}

}  // namespace tarsier::query
