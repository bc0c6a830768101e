#include <vector>

#include "query/functions/extrapolation.h"
#include "query/functions/mixed_kernels.h"

namespace tarsier::query {
namespace {

using tsdb::CounterResetHint;
using tsdb::FloatHistogram;
using tsdb::HistogramColumns;

/// What is known of each sample and the one before it, found once for all windows of a row.
struct Neighbours {
  std::vector<unsigned char> is_reset;        ///< Of sample i against i - 1.
  std::vector<std::size_t> same_layout_from;  ///< Samples from there to i share one layout.

  void find(const HistogramColumns& columns) {
    is_reset.assign(columns.size(), 0);
    same_layout_from.assign(columns.size(), 0);
    for (std::size_t i = 1; i < columns.size(); ++i) {
      const bool is_same = columns.layout[i] == columns.layout[i - 1];
      same_layout_from[i] = is_same ? same_layout_from[i - 1] : i;
      is_reset[i] = query::is_reset(view_of(columns, i), view_of(columns, i - 1)) ? 1 : 0;
    }
  }
};

/// last - first, plus what was counted before each reset in between: all of one layout.
void change_of_one_layout(const HistogramColumns& columns, const Neighbours& neighbours,
                          std::size_t first, std::size_t last, bool is_counter,
                          FloatHistogram& out) {
  assign(out, view_of(columns, last));
  const auto combine = [&](std::size_t i, double sign) {
    out.count += sign * columns.counts[i];
    out.sum += sign * columns.sums[i];
    out.zero_count += sign * columns.zero_counts[i];
    const double* const from = columns.buckets.data() + columns.first_bucket[i];
    const std::size_t positive = out.positive_counts.size();
    for (std::size_t b = 0; b < positive; ++b) out.positive_counts[b] += sign * from[b];
    for (std::size_t b = 0; b < out.negative_counts.size(); ++b) {
      out.negative_counts[b] += sign * from[positive + b];
    }
  };
  const bool starts_with_reset = is_counter && neighbours.is_reset[first + 1] != 0;
  if (!starts_with_reset) combine(first, -1);
  if (!is_counter) return;
  for (std::size_t i = first + 2; i <= last; ++i) {
    if (neighbours.is_reset[i] != 0) combine(i - 1, 1);
  }
}

/// The same for layouts that differ. False if they cannot be brought together.
bool change_of_many_layouts(const HistogramColumns& columns, const Neighbours& neighbours,
                            std::size_t first, std::size_t last, bool is_counter,
                            FloatHistogram& out, RangeRemarks& remarks) {
  // What a reset wiped out right at the begin says nothing about what can be compared.
  const bool starts_with_reset = is_counter && neighbours.is_reset[first + 1] != 0;
  const std::size_t relevant = starts_with_reset ? first + 1 : first;
  const bool is_custom = columns.layout_of(relevant).is_custom();
  if (columns.layout_of(last).is_custom() != is_custom) {
    remarks.add(RangeRemark::kMixedBuckets);
    return false;
  }
  std::int32_t schema =
      std::min(columns.layout_of(relevant).schema, columns.layout_of(last).schema);
  for (std::size_t i = first + 1; is_counter && i < last; ++i) {
    schema = std::min(schema, columns.layout_of(i).schema);
    if (columns.layout_of(i).is_custom() == is_custom) continue;
    remarks = RangeRemarks();
    remarks.add(RangeRemark::kMixedBuckets);
    return false;
  }
  assign(out, view_of(columns, last));
  if (!is_custom) reduce_resolution(out, schema);
  if (!starts_with_reset) {
    if (subtract(out, view_of(columns, first)).is_reconciled) {
      remarks.add(RangeRemark::kReconciledSubtraction);
    }
  }
  for (std::size_t i = first + 2; is_counter && i <= last; ++i) {
    if (neighbours.is_reset[i] == 0) continue;
    if (add(out, view_of(columns, i - 1)).is_reconciled) {
      remarks.add(RangeRemark::kReconciledAddition);
    }
  }
  return true;
}

bool is_gauge(const HistogramColumns& columns, std::size_t i) {
  return columns.hints[i] == CounterResetHint::kGauge;
}

template <Extrapolation kind>
void extrapolate(const MixedInput& in, double* out) {
  constexpr bool is_counter = kind != Extrapolation::kDelta;
  const HistogramColumns& columns = in.histograms;
  thread_local Neighbours neighbours;
  neighbours.find(columns);
  const double range_s = to_seconds(in.windows.range_ms);
  for_each_kind(in, out, [&](std::size_t k, std::size_t first, std::size_t end) {
    if (end - first < 2) return absent_value();
    const std::size_t last = end - 1;
    RangeRemarks remarks;
    if constexpr (is_counter) {
      for (std::size_t i = first; i <= last; ++i) {
        if (is_gauge(columns, i)) remarks.add(RangeRemark::kNotCounter);
      }
    }
    FloatHistogram& change = in.pool.take();
    bool is_known = true;
    if (neighbours.same_layout_from[last] <= first) {
      change_of_one_layout(columns, neighbours, first, last, is_counter, change);
    } else {
      is_known =
          change_of_many_layouts(columns, neighbours, first, last, is_counter, change, remarks);
    }
    if (!is_counter && is_known && !(is_gauge(columns, first) && is_gauge(columns, last))) {
      remarks.add(RangeRemark::kNotGauge);
    }
    in.remarks.add(remarks);
    if (!is_known) return absent_value();
    change.hint = CounterResetHint::kGauge;
    compact(change);
    const std::int64_t end_ms = in.windows.end_ms(k);
    double factor = stretch<kind>(columns.times_ms, end_ms - in.windows.range_ms, end_ms, first,
                                  last, columns.counts[first], change.count);
    if constexpr (kind == Extrapolation::kRate) factor /= range_s;
    multiply(change, factor);
    return histogram_cell(change);
  });
}

// The last two samples.

struct LatestSample {
  bool is_histogram;
  std::size_t position;
  std::int64_t time_ms;
};

/// The newest sample before `floats_end` and `histograms_end`, which it then lies behind.
LatestSample take_newest(const MixedInput& in, const WindowBounds& floats, std::size_t& floats_end,
                         const WindowBounds& histograms, std::size_t& histograms_end) {
  const bool has_float = floats_end > floats.first;
  const bool has_histogram = histograms_end > histograms.first;
  const std::int64_t float_time = has_float ? in.floats.times_ms[floats_end - 1] : 0;
  const std::int64_t histogram_time =
      has_histogram ? in.histograms.times_ms[histograms_end - 1] : 0;
  if (has_float && (!has_histogram || float_time > histogram_time)) {
    return {false, --floats_end, float_time};
  }
  return {true, --histograms_end, histogram_time};
}

double change_of_last(const MixedInput& in, std::size_t previous, std::size_t current,
                      bool is_rate) {
  const HistogramColumns& columns = in.histograms;
  const HistogramView now = view_of(columns, current);
  const HistogramView before = view_of(columns, previous);
  const bool any_gauge = is_gauge(columns, current) || is_gauge(columns, previous);
  const bool both_gauge = is_gauge(columns, current) && is_gauge(columns, previous);
  if (is_rate && any_gauge) in.remarks.add(RangeRemark::kNotCounter);
  if (!is_rate && !both_gauge) in.remarks.add(RangeRemark::kNotGauge);
  FloatHistogram& change = in.pool.take();
  assign(change, now);
  if (!is_rate || !is_reset(now, before)) {
    const Combination combination = subtract(change, before);
    if (!combination.is_compatible) {
      in.remarks.add(RangeRemark::kMixedBuckets);
      return absent_value();
    }
    if (combination.is_reconciled) in.remarks.add(RangeRemark::kReconciledSubtraction);
  }
  change.hint = CounterResetHint::kGauge;
  compact(change);
  if (is_rate) divide(change, to_seconds(columns.times_ms[current] - columns.times_ms[previous]));
  return histogram_cell(change);
}

template <bool is_rate>
void last_change(const MixedInput& in, double* out) {
  in.float_kernel(in.floats, in.windows, in.arguments, out);
  WindowBounds floats;
  WindowBounds histograms;
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    floats.move_to(in.floats, in.windows, k);
    histograms.move_to(in.histogram_times(), in.windows, k);
    if (histograms.size() == 0) continue;
    out[k] = absent_value();
    if (floats.size() + histograms.size() < 2) continue;
    std::size_t floats_end = floats.last;
    std::size_t histograms_end = histograms.last;
    const LatestSample current = take_newest(in, floats, floats_end, histograms, histograms_end);
    const LatestSample previous = take_newest(in, floats, floats_end, histograms, histograms_end);
    if (current.time_ms == previous.time_ms) continue;
    if (current.is_histogram != previous.is_histogram) {
      in.remarks.add(RangeRemark::kMixedKinds);
    } else if (current.is_histogram) {
      out[k] = change_of_last(in, previous.position, current.position, is_rate);
    } else {
      const double now = in.floats.values[current.position];
      const double before = in.floats.values[previous.position];
      double change = now - before;
      if (is_rate && now < before) change = now;
      if (is_rate) change /= to_seconds(current.time_ms - previous.time_ms);
      out[k] = change;
    }
  }
}

template <typename Pairs>
void count(const MixedInput& in, double* out, Pairs&& pairs_of) {
  const MergedPairs& pairs = pairs_of(in);
  for_each_window(Column{pairs.times_ms, {}}, in.windows, out,
                  [&](std::size_t, std::size_t first, std::size_t last) {
                    return pairs.hits_until[last - 1] - pairs.hits_until[first];
                  });
}

void resets(const MixedInput& in, double* out) { count(in, out, merged_resets); }
void changes(const MixedInput& in, double* out) { count(in, out, merged_changes); }

}  // namespace

MixedKernel mixed_counter_kernel(FunctionId function) {
  switch (function) {
    case FunctionId::kRate: return extrapolate<Extrapolation::kRate>;
    case FunctionId::kIncrease: return extrapolate<Extrapolation::kIncrease>;
    case FunctionId::kDelta: return extrapolate<Extrapolation::kDelta>;
    case FunctionId::kIrate: return last_change<true>;
    case FunctionId::kIdelta: return last_change<false>;
    case FunctionId::kResets: return resets;
    case FunctionId::kChanges: return changes;
    default: return nullptr;
  }
}

}  // namespace tarsier::query
