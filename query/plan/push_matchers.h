#pragma once

#include "query/parse/ast.h"

namespace tarsier::query {

/// Lets one side of a vector operator select no more than the other side can match: in
/// `rate(x[5m]) * on (job) group_left up{job="a"}` the left selector gets `job="a"` too, also
/// through aggregations that keep the label. Only where an element that is now left out could
/// neither give a result nor an error: into both sides of set operators, and into the "many" side
/// of the others ("one" sides are refused for duplicates even when nothing matches them).
void push_matchers(Expr& root);

}  // namespace tarsier::query
