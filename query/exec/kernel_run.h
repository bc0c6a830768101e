#pragma once

#include "base/result.h"
#include "query/exec/context.h"
#include "query/functions/window.h"

namespace tarsier::query {

/// `kernel` over a whole row, in parts when that takes long: so that a query over one series with
/// huge windows stops as soon as any other when nobody waits for it. A part gives what the whole
/// would give there: windows are independent of each other.
Status run_kernel(const Context& context, RangeKernel kernel, const Column& column,
                  const Windows& windows, const KernelArguments& arguments, double* out);

}  // namespace tarsier::query
