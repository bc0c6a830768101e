#pragma once

#include <string>
#include <vector>

#include "query/parse.h"
#include "tsdb/histogram.h"
#include "tsdb/matcher.h"

namespace tarsier::query {

/// The expression on one line, in the canonical form Prometheus shows.
std::string canonical_text(const Expr& e);

/// The matchers of every selector in the expression, in the order written. What makes one rule
/// depend on another.
std::vector<std::vector<tsdb::Matcher>> selectors_of(const Expr& e);

/// `{count:3, sum:6.5, (1,2]:1}`: how templates and messages show a native histogram.
std::string histogram_text(const tsdb::FloatHistogram& histogram);

}  // namespace tarsier::query
