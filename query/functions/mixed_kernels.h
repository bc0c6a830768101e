#pragma once

#include <cstdint>
#include <vector>

#include "query/exec/histogram_pool.h"
#include "query/functions/extended_kernels.h"
#include "query/functions/start_times.h"
#include "query/functions/window.h"
#include "query/histogram/arithmetic.h"
#include "query/parse/function_table.h"

namespace tarsier::query {

// Range functions of series that hold native histograms, perhaps beside floats. Series without any
// never come here: they are computed by the RangeKernel of the same function.

/// What a function has to tell about a series; who calls it knows the words.
enum class RangeRemark : unsigned char {
  kMixedKinds,             ///< Floats and histograms in one window.
  kNotCounter,             ///< Gauge histograms where counters belong,
  kNotGauge,               ///< and the reverse.
  kMixedBuckets,           ///< Exponential and custom buckets.
  kReconciledAddition,     ///< Custom bounds given up while adding,
  kReconciledSubtraction,  ///< subtracting,
  kReconciledAggregation,  ///< or summing up.
  kCollidingHints,         ///< Resets and their opposite in one sum.
  kIgnoredHistograms,      ///< By a function of floats, in a window that has both.
};

class RangeRemarks final {
 public:
  void add(RangeRemark remark) { bits_ |= 1U << static_cast<unsigned>(remark); }
  void add(const RangeRemarks& other) {
    bits_ |= other.bits_;
    overlaps_ += other.overlaps_;
  }
  bool has(RangeRemark remark) const { return (bits_ >> static_cast<unsigned>(remark) & 1U) != 0; }
  void add_overlap() { ++overlaps_; }
  /// In how many windows a start timestamp lay before the sample before.
  std::uint64_t overlaps() const { return overlaps_; }
  bool any() const { return bits_ != 0 || overlaps_ != 0; }

 private:
  unsigned bits_ = 0;
  std::uint64_t overlaps_ = 0;
};

/// One series and what is asked of it. With start timestamps also series of floats only.
struct MixedInput {
  Column floats;
  const tsdb::HistogramColumns& histograms;  ///< Without stale markers.
  const Windows& windows;
  KernelArguments arguments;
  RangeKernel float_kernel;  ///< The same function of floats.
  HistogramPool& pool;       ///< Where the row's histograms live.
  RangeRemarks& remarks;
  // Of each sample, where start timestamps are known and to be used; else empty.
  std::span<const std::int64_t> float_starts_ms = {};
  std::span<const std::int64_t> histogram_starts_ms = {};

  bool has_starts() const { return !float_starts_ms.empty() || !histogram_starts_ms.empty(); }
  StartedTimes started_floats() const { return {floats.times_ms, float_starts_ms}; }
  StartedTimes started_histograms() const { return {histograms.times_ms, histogram_starts_ms}; }
  Column histogram_times() const { return {histograms.times_ms, {}}; }
};

/// Computes one row, cells being numbers or histograms.
using MixedKernel = void (*)(const MixedInput&, double* out);

/// The kernel of a range function; null where an extended selector does not allow the function.
MixedKernel mixed_kernel(FunctionId function, Extension extension);
/// Whether start timestamps mean anything to the function.
bool uses_start_times(FunctionId function);
/// Whether the function can give histograms.
bool gives_histograms(FunctionId function);

// By file: what happened between samples; the same for anchored and smoothed selectors.
MixedKernel mixed_counter_kernel(FunctionId function);
MixedKernel mixed_extended_kernel(FunctionId function, Extension extension);
/// An instant selector with `smoothed`.
void mixed_smoothed_instant_kernel(const MixedInput&, double* out);

/// All samples in time order, and how many pairs of neighbours up to each are counter resets, or
/// changes; a change of kind is both. Valid until the next call on this thread.
struct MergedPairs {
  std::vector<std::int64_t> times_ms;
  std::vector<double> hits_until;  ///< Pairs that end at or before sample i.
};
const MergedPairs& merged_resets(const MixedInput&);
const MergedPairs& merged_changes(const MixedInput&);

/// For functions that take one kind or the other: floats as always, `histogram_cell(k, first,
/// last)` for windows that have histograms only.
template <typename F>
void for_each_kind(const MixedInput& in, double* out, F&& histogram_cell_of) {
  in.float_kernel(in.floats, in.windows, in.arguments, out);
  WindowBounds floats;
  WindowBounds histograms;
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    floats.move_to(in.floats, in.windows, k);
    histograms.move_to(in.histogram_times(), in.windows, k);
    if (histograms.size() == 0) continue;
    if (floats.size() > 0) {
      in.remarks.add(RangeRemark::kMixedKinds);
      out[k] = absent_value();
      continue;
    }
    out[k] = histogram_cell_of(k, histograms.first, histograms.last);
  }
}

}  // namespace tarsier::query
