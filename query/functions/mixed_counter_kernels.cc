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

  void find(const HistogramColumns& columns, const StartedTimes& started) {
    is_reset.assign(columns.size(), 0);
    same_layout_from.assign(columns.size(), 0);
    for (std::size_t i = 1; i < columns.size(); ++i) {
      const bool is_same = columns.layout[i] == columns.layout[i - 1];
      same_layout_from[i] = is_same ? same_layout_from[i - 1] : i;
      const bool is_found =
          started.is_restart_at(i) || query::is_reset(view_of(columns, i), view_of(columns, i - 1));
      is_reset[i] = is_found ? 1 : 0;
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

/// The change of the histograms [first, last] of a window, compact and a gauge; null if there is
/// none. REQUIRES: at least two.
template <Extrapolation kind>
FloatHistogram* change_between(const MixedInput& in, const Neighbours& neighbours,
                               std::size_t first, std::size_t last) {
  constexpr bool is_counter = kind != Extrapolation::kDelta;
  const HistogramColumns& columns = in.histograms;
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
  if (!is_known) return nullptr;
  change.hint = CounterResetHint::kGauge;
  compact(change);
  return &change;
}

/// How far the change is stretched where the first sample's start is known to lie in the window:
/// from there on, as if there were a sample of zero.
double stretch_from_start(const StartedTimes& started, std::int64_t end_ms, std::size_t first,
                          std::size_t last) {
  const double sampled = to_seconds(started.times_ms[last] - started.starts_ms[first]);
  const double average = last == first
                             ? 0
                             : to_seconds(started.times_ms[last] - started.times_ms[first]) /
                                   static_cast<double>(last - first);
  double to_end = to_seconds(end_ms - started.times_ms[last]);
  if (to_end >= average * 1.1) to_end = average / 2;
  return sampled == 0 ? 1 : (sampled + to_end) / sampled;
}

bool starts_inside(const StartedTimes& started, std::int64_t start_ms, std::size_t first) {
  if (started.starts_ms.empty()) return false;
  const StartedSample sample = started.at(first);
  return sample.start_ms != 0 && sample.start_ms > start_ms && sample.start_ms < sample.time_ms;
}

void note_overlap(const MixedInput& in, const StartedTimes& started, std::size_t first,
                  std::size_t last) {
  if (started.starts_ms.empty()) return;
  for (std::size_t i = first + 1; i <= last; ++i) {
    if (!overlaps(started.at(i - 1), started.at(i))) continue;
    in.remarks.add_overlap();
    return;
  }
}

/// rate and increase where start timestamps are known.
template <Extrapolation kind>
void extrapolate_from_starts(const MixedInput& in, double* out) {
  thread_local Neighbours neighbours;
  neighbours.find(in.histograms, in.started_histograms());
  const double range_s = to_seconds(in.windows.range_ms);
  WindowBounds floats;
  WindowBounds histograms;
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    out[k] = absent_value();
    floats.move_to(in.floats, in.windows, k);
    histograms.move_to(in.histogram_times(), in.windows, k);
    if (floats.size() > 0 && histograms.size() > 0) {
      in.remarks.add(RangeRemark::kMixedKinds);
      continue;
    }
    const bool is_histogram = histograms.size() > 0;
    const WindowBounds& bounds = is_histogram ? histograms : floats;
    if (bounds.size() == 0) continue;
    const StartedTimes started = is_histogram ? in.started_histograms() : in.started_floats();
    const std::size_t first = bounds.first;
    const std::size_t last = bounds.last - 1;
    const std::int64_t end_ms = in.windows.end_ms(k);
    const std::int64_t start_ms = end_ms - in.windows.range_ms;
    const bool has_zero_sample = starts_inside(started, start_ms, first);
    if (first == last && !has_zero_sample) continue;
    note_overlap(in, started, first, last);
    const auto factor_for = [&](double first_value, double change) {
      const double factor = has_zero_sample ? stretch_from_start(started, end_ms, first, last)
                                            : stretch<kind>(started.times_ms, start_ms, end_ms,
                                                            first, last, first_value, change);
      return kind == Extrapolation::kRate ? factor / range_s : factor;
    };
    if (!is_histogram) {
      const std::span<const double> values = in.floats.values;
      double change = values[last] - values[first];
      for (std::size_t i = first + 1; i <= last; ++i) {
        if (values[i] < values[i - 1] || started.is_restart_at(i)) change += values[i - 1];
      }
      if (has_zero_sample) change += values[first];
      out[k] = change * factor_for(values[first], change);
      continue;
    }
    FloatHistogram* change = nullptr;
    if (first == last) {
      change = &in.pool.take();
      assign(*change, view_of(in.histograms, first));
    } else {
      change = change_between<kind>(in, neighbours, first, last);
      if (change == nullptr) continue;
      if (has_zero_sample) {
        const Combination sum = add(*change, view_of(in.histograms, first));
        if (!sum.is_compatible) in.remarks.add(RangeRemark::kMixedBuckets);
        if (sum.is_reconciled) in.remarks.add(RangeRemark::kReconciledAddition);
        if (!sum.is_compatible) continue;
      }
    }
    multiply(*change, factor_for(in.histograms.counts[first], change->count));
    out[k] = histogram_cell(*change);
  }
}

template <Extrapolation kind>
void extrapolate(const MixedInput& in, double* out) {
  if (in.has_starts()) return extrapolate_from_starts<kind>(in, out);
  const HistogramColumns& columns = in.histograms;
  thread_local Neighbours neighbours;
  neighbours.find(columns, {});
  const double range_s = to_seconds(in.windows.range_ms);
  for_each_kind(in, out, [&](std::size_t k, std::size_t first, std::size_t end) {
    if (end - first < 2) return absent_value();
    const std::size_t last = end - 1;
    FloatHistogram* const change = change_between<kind>(in, neighbours, first, last);
    if (change == nullptr) return absent_value();
    const std::int64_t end_ms = in.windows.end_ms(k);
    double factor = stretch<kind>(columns.times_ms, end_ms - in.windows.range_ms, end_ms, first,
                                  last, columns.counts[first], change->count);
    if constexpr (kind == Extrapolation::kRate) factor /= range_s;
    multiply(*change, factor);
    return histogram_cell(*change);
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
  const bool is_restart = is_rate && in.started_histograms().is_restart_at(current);
  if (!is_rate || (!is_restart && !is_reset(now, before))) {
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
    if (histograms.size() == 0 && in.float_starts_ms.empty()) continue;
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
      const bool is_restart = in.started_floats().is_restart_at(current.position);
      if (is_rate && (now < before || is_restart)) change = now;
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
