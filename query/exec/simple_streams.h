#pragma once

#include <vector>

#include "query/exec/stream.h"
#include "query/functions/elementwise.h"

namespace tarsier::query {

// Streams of functions that look at one value at a time.

/// `kernel` applied to every row. `first` and `second` are its arguments, a row each, or empty.
StreamPtr apply_to_elements(StreamPtr child, ElementKernel kernel, std::vector<double> first,
                            std::vector<double> second);
/// Each step's own time, in seconds, wherever `child` has a value.
StreamPtr step_times(StreamPtr child);
/// No series at all.
StreamPtr no_series(Grid grid);

}  // namespace tarsier::query
