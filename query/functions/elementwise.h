#pragma once

#include <cstddef>

#include "query/parse/function_table.h"

namespace tarsier::query {

/// Changes a row in place, value by value; absent values stay. `first` and `second` are the
/// function's scalar arguments, one per value, or null.
using ElementKernel = void (*)(double* row, std::size_t count, const double* first,
                               const double* second);

/// The kernel of a function that makes one float of another (abs, clamp, hour ...); null if it is
/// not one of those.
ElementKernel element_kernel(FunctionId function);

}  // namespace tarsier::query
