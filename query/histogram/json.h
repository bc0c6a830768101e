#pragma once

#include <string>

#include "query/histogram/view.h"

namespace tarsier::query {

/// Appends `{"count":"3","sum":"6.5","buckets":[[0,"1","2","3"]]}`: what the API shows of a
/// histogram. The first number of a bucket says which bounds are inside: 0 the upper, 1 the lower,
/// 3 both.
void append_histogram_json(std::string& out, const HistogramView& h);

}  // namespace tarsier::query
