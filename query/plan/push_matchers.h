#pragma once

#include "query/parse/ast.h"

namespace tarsier::query {

/// Lets one side of a vector operator select no more than the other side can match: in
/// `rate(x[5m]) * on (job) group_left sum by (job) (up{job="a"})` the left selector gets `job="a"`
/// too, also through aggregations that keep the label. Only where an element that is now left out
/// could neither give a result nor an error: into both sides of set operators, and into the "many"
/// side of the others where the "one" side can have no duplicates. (It is refused for them even
/// when nothing matches them, but not when the other side is empty.)
void push_matchers(Expr& root);

}  // namespace tarsier::query
