#pragma once

#include <string>

#include "query/histogram/view.h"

namespace tarsier::query {

/// `{count:3, sum:6.5, [-2,-1):1, [-0.001,0.001]:1, (1,2]:1}`: how count_values and messages show a
/// histogram. Empty buckets are left out.
std::string histogram_text(const HistogramView& h);

}  // namespace tarsier::query
