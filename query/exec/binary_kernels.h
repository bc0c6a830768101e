#pragma once

#include <cstddef>

#include "query/parse/ast.h"

namespace tarsier::query {

/// `out[k] = left[k] op right[k]` for a whole row; absent where a side is. `out` may be a side.
using BinaryKernel = void (*)(const double* left, const double* right, std::size_t count,
                              double* out);

/// What a comparison gives where it holds.
enum class Comparison : unsigned char {
  kKeepLeft,   ///< The left value; absent where it does not hold.
  kKeepRight,  ///< The right value.
  kBool,       ///< 1, and 0 where it does not hold.
};

/// REQUIRES: arithmetic or comparison. `comparison` matters for the latter only.
BinaryKernel binary_kernel(BinaryOp op, Comparison comparison);

}  // namespace tarsier::query
