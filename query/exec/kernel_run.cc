#include "query/exec/kernel_run.h"

#include <algorithm>

namespace tarsier::query {
namespace {

/// Samples of all windows of a part together: some milliseconds for the slowest kernels.
constexpr double kPartSamples = 500'000;

/// How many samples a window holds, if they are spread evenly.
double samples_per_window(const Column& column, const Windows& windows) {
  if (column.size() < 2 || windows.stride_ms <= 0) return static_cast<double>(column.size());
  const auto span = static_cast<double>(column.times_ms.back() - column.times_ms.front()) + 1;
  const double share = std::min(1.0, static_cast<double>(windows.range_ms) / span);
  return 1 + share * static_cast<double>(column.size());
}

}  // namespace

Status run_kernel(const Context& context, RangeKernel kernel, const Column& column,
                  const Windows& windows, const KernelArguments& arguments, double* out) {
  const double all = samples_per_window(column, windows) * static_cast<double>(windows.count);
  if (all <= kPartSamples) {
    kernel(column, windows, arguments, out);
    return {};
  }
  const double parts = all / kPartSamples;
  const std::size_t part_steps = std::max<std::size_t>(
      1, static_cast<std::size_t>(static_cast<double>(windows.count) / parts));
  for (std::size_t k = 0; k < windows.count; k += part_steps) {
    TRY(context.check_alive());
    Windows part = windows;
    part.count = std::min(part_steps, windows.count - k);
    part.first_end_ms = windows.end_ms(k);
    // Samples before the part's first window were of use to earlier parts only.
    const auto begin = std::upper_bound(column.times_ms.begin(), column.times_ms.end(),
                                        part.start_ms(0) - part.before_ms);
    const auto first = static_cast<std::size_t>(begin - column.times_ms.begin());
    KernelArguments part_arguments = arguments;
    part_arguments.grid.start_ms = arguments.grid.time_ms(k);
    part_arguments.grid.count = part.count;
    if (arguments.first != nullptr) part_arguments.first = arguments.first + k;
    if (arguments.second != nullptr) part_arguments.second = arguments.second + k;
    kernel(Column{column.times_ms.subspan(first), column.values.subspan(first)}, part,
           part_arguments, out + k);
  }
  return {};
}

}  // namespace tarsier::query
