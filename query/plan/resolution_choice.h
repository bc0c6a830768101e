#pragma once

#include <string_view>

#include "base/time.h"
#include "query/functions/window.h"
#include "query/resolution.h"
#include "tsdb/resolution.h"

namespace tarsier::query {

/// What a selector does with what it is given.
struct SelectorUse {
  std::string_view function;  ///< Directly around it, or empty.
  Duration window{0};         ///< Of a range selector.
  Windows windows;            ///< Where it looks.
  bool is_ranged_query = false;
  bool looks_beyond = false;  ///< `anchored` or `smoothed`: at samples outside its windows.
};

/// Which rows may stand for samples, by step, window and function.
///
/// Exact ones: each window read is made of whole windows of the rows, because the steps, the range
/// and the offset are multiples of the resolution, and the function is one that rows answer. For
/// `auto`, and among several resolutions of what is gone: rows of up to a fifth of the step, and a
/// fifth of the window. Functions that look at two samples get two rows in a window at least.
tsdb::ResolutionHints choose_resolution(const ResolutionWish& wish, const SelectorUse& use);

}  // namespace tarsier::query
