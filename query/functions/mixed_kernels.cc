#include "query/functions/mixed_kernels.h"

#include "query/histogram/compensated.h"

namespace tarsier::query {
namespace {

/// `cell(k, floats, histograms)` for each window with samples of any kind.
template <typename F>
void for_each_filled_window(const MixedInput& in, double* out, F&& cell) {
  WindowBounds floats;
  WindowBounds histograms;
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    floats.move_to(in.floats, in.windows, k);
    histograms.move_to(in.histogram_times(), in.windows, k);
    out[k] = floats.size() + histograms.size() == 0 ? absent_value() : cell(floats, histograms);
  }
}

/// Functions of floats leave histograms out.
void floats_only(const MixedInput& in, double* out) {
  in.float_kernel(in.floats, in.windows, in.arguments, out);
  WindowBounds floats;
  WindowBounds histograms;
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    floats.move_to(in.floats, in.windows, k);
    histograms.move_to(in.histogram_times(), in.windows, k);
    if (floats.size() == 0 || histograms.size() == 0) continue;
    in.remarks.add(RangeRemark::kIgnoredHistograms);
    return;
  }
}

void count_samples(const MixedInput& in, double* out) {
  for_each_filled_window(in, out, [](const WindowBounds& floats, const WindowBounds& histograms) {
    return static_cast<double>(floats.size() + histograms.size());
  });
}

void present(const MixedInput& in, double* out) {
  for_each_filled_window(in, out, [](const WindowBounds&, const WindowBounds&) { return 1.0; });
}

enum class End : unsigned char { kFirst, kLast };

/// The outermost sample of a window, of whichever kind: its position, and whether it is a
/// histogram.
struct Outermost {
  bool is_histogram;
  std::size_t position;
};

template <End end>
Outermost outermost(const MixedInput& in, const WindowBounds& floats,
                    const WindowBounds& histograms) {
  const std::size_t f = end == End::kFirst ? floats.first : floats.last - 1;
  const std::size_t h = end == End::kFirst ? histograms.first : histograms.last - 1;
  if (floats.size() == 0) return {true, h};
  if (histograms.size() == 0) return {false, f};
  const std::int64_t float_time = in.floats.times_ms[f];
  const std::int64_t histogram_time = in.histograms.times_ms[h];
  const bool is_float_farther =
      end == End::kFirst ? float_time < histogram_time : float_time > histogram_time;
  return is_float_farther ? Outermost{false, f} : Outermost{true, h};
}

template <End end>
void sample_at(const MixedInput& in, double* out) {
  for_each_filled_window(in, out, [&](const WindowBounds& floats, const WindowBounds& histograms) {
    const Outermost sample = outermost<end>(in, floats, histograms);
    return sample.is_histogram ? in.pool.keep(view_of(in.histograms, sample.position))
                               : in.floats.values[sample.position];
  });
}

template <End end>
void time_at(const MixedInput& in, double* out) {
  for_each_filled_window(in, out, [&](const WindowBounds& floats, const WindowBounds& histograms) {
    const Outermost sample = outermost<end>(in, floats, histograms);
    const std::int64_t time = sample.is_histogram ? in.histograms.times_ms[sample.position]
                                                  : in.floats.times_ms[sample.position];
    return static_cast<double>(time) / 1000;
  });
}

/// Sum or mean of each window's histograms.
template <typename Total>
void total_over_time(const MixedInput& in, double* out) {
  for_each_kind(in, out, [&](std::size_t, std::size_t first, std::size_t last) {
    if (last - first == 1) return in.pool.keep(view_of(in.histograms, first));
    Total total;
    for (std::size_t i = first; i < last; ++i) total.add(view_of(in.histograms, i));
    const CombinationLog& log = total.log();
    if (log.hints_collide()) in.remarks.add(RangeRemark::kCollidingHints);
    if (log.is_reconciled) in.remarks.add(RangeRemark::kReconciledAggregation);
    if (!log.is_compatible) {
      in.remarks.add(RangeRemark::kMixedBuckets);
      return absent_value();
    }
    tsdb::FloatHistogram& result = in.pool.take();
    total.value(result);
    return histogram_cell(result);
  });
}

}  // namespace

bool gives_histograms(FunctionId function) {
  switch (function) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta:
    case FunctionId::kIrate:
    case FunctionId::kIdelta:
    case FunctionId::kSumOverTime:
    case FunctionId::kAvgOverTime:
    case FunctionId::kFirstOverTime:
    case FunctionId::kLastOverTime: return true;
    default: return false;
  }
}

bool uses_start_times(FunctionId function) {
  return function == FunctionId::kRate || function == FunctionId::kIncrease ||
         function == FunctionId::kIrate || function == FunctionId::kResets;
}

MixedKernel mixed_kernel(FunctionId function, Extension extension) {
  if (extension != Extension::kNone) return mixed_extended_kernel(function, extension);
  switch (function) {
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta:
    case FunctionId::kIrate:
    case FunctionId::kIdelta:
    case FunctionId::kResets:
    case FunctionId::kChanges: return mixed_counter_kernel(function);
    case FunctionId::kSumOverTime: return total_over_time<HistogramSum>;
    case FunctionId::kAvgOverTime: return total_over_time<HistogramMean>;
    case FunctionId::kCountOverTime: return count_samples;
    case FunctionId::kPresentOverTime:
    case FunctionId::kAbsentOverTime: return present;
    case FunctionId::kFirstOverTime: return sample_at<End::kFirst>;
    case FunctionId::kLastOverTime: return sample_at<End::kLast>;
    case FunctionId::kTsOfFirstOverTime: return time_at<End::kFirst>;
    case FunctionId::kTsOfLastOverTime: return time_at<End::kLast>;
    default: return floats_only;
  }
}

}  // namespace tarsier::query
