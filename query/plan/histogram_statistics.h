#pragma once

#include <unordered_set>

#include "query/parse/ast.h"

namespace tarsier::query {

/// The selectors of whose histograms only count and sum are ever asked: those under histogram_count,
/// histogram_sum or histogram_avg, with nothing around them that needs buckets. Their buckets need
/// not be computed with; counter resets are then found while reading.
std::unordered_set<const Selector*> statistics_selectors(const Expr& root);

}  // namespace tarsier::query
