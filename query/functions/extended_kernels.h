#pragma once

#include <optional>

#include "query/functions/window.h"
#include "query/parse/function_table.h"
#include "tsdb/sample.h"

namespace tarsier::query {

// `anchored` and `smoothed` selectors: instead of stretching what the samples inside a window show,
// the values at its edges are taken from samples around it: the last one before (anchored), or on
// the line between neighbours (smoothed). Windows must be loaded beyond their edges.

enum class Extension : unsigned char { kNone, kAnchored, kSmoothed };

/// Null if the function cannot be used with such a selector.
RangeKernel extended_kernel(Extension extension, FunctionId function);

/// The value at the window's end, on the line between its neighbours, or carried forward.
void smoothed_instant_kernel(const Column&, const Windows&, const KernelArguments&, double* out);

/// Which samples speak for window k; values are not looked at. Nothing if none does.
struct ExtendedSpan {
  std::size_t first;  ///< The last one at or before the start, else the first loaded.
  std::size_t last;
};
std::optional<ExtendedSpan> extended_span(Extension extension, const Column& column,
                                          const Windows& windows, std::size_t k);

/// The samples of window 0 as an instant query shows them: edges made up, then what lies between.
tsdb::SampleColumns extended_points(Extension extension, const Column& column,
                                    const Windows& windows);

}  // namespace tarsier::query
