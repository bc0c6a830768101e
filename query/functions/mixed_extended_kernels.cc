#include <algorithm>
#include <optional>

#include "query/functions/extrapolation.h"
#include "query/functions/mixed_kernels.h"

namespace tarsier::query {
namespace {

using tsdb::CounterResetHint;
using tsdb::FloatHistogram;
using tsdb::HistogramColumns;

/// One window's change from edge to edge. Every step may find histograms that do not go together;
/// then there is no result.
class EdgeChange final {
 public:
  EdgeChange(const MixedInput& in, Extension extension, Reading reading, std::size_t k,
             const ExtendedSpan& span)
      : columns_(in.histograms),
        is_smoothed_(extension == Extension::kSmoothed),
        reading_(reading),
        start_ms_(in.windows.start_ms(k)),
        end_ms_(in.windows.end_ms(k)),
        span_(span),
        remarks_(in.remarks) {}

  bool compute(FloatHistogram& change) {
    if (!has_one_kind_of_buckets() || !find_edges()) return false;
    const bool both_gauge =
        left_.hint == CounterResetHint::kGauge && right_.hint == CounterResetHint::kGauge;
    if (reading_ == Reading::kGauge && !both_gauge) remarks_.add(RangeRemark::kNotGauge);
    change = right_;
    const Combination combination = subtract(change, view_of(left_));
    if (!check(combination, RangeRemark::kReconciledSubtraction)) return false;
    return reading_ == Reading::kGauge || add_what_resets_wiped_out(change);
  }

 private:
  HistogramView at(std::size_t i) const { return view_of(columns_, i); }

  bool check(const Combination& combination, RangeRemark reconciled) {
    if (!combination.is_compatible) remarks_.add(RangeRemark::kMixedBuckets);
    if (combination.is_reconciled) remarks_.add(reconciled);
    return combination.is_compatible;
  }

  bool has_one_kind_of_buckets() {
    const bool is_custom = columns_.layout_of(span_.first).is_custom();
    for (std::size_t i = span_.first; i <= span_.last; ++i) {
      if (columns_.layout_of(i).is_custom() != is_custom) {
        remarks_.add(RangeRemark::kMixedBuckets);
        return false;
      }
      if (reading_ == Reading::kCounter && columns_.hints[i] == CounterResetHint::kGauge) {
        remarks_.add(RangeRemark::kNotCounter);
      }
    }
    return true;
  }

  /// The histogram at `t_ms` between sample i and the next one.
  bool find_between(std::size_t i, std::int64_t t_ms, FloatHistogram& out) {
    const double share = static_cast<double>(t_ms - columns_.times_ms[i]) /
                         static_cast<double>(columns_.times_ms[i + 1] - columns_.times_ms[i]);
    const Interpolation found = interpolate(at(i), at(i + 1), share, reading_, out);
    return check(found.subtraction, RangeRemark::kReconciledSubtraction) &&
           check(found.addition, RangeRemark::kReconciledAddition);
  }

  bool find_edges() {
    is_left_between_ = is_smoothed_ && columns_.times_ms[span_.first] < start_ms_;
    if (!is_left_between_) {
      assign(left_, at(span_.first));
    } else if (!find_between(span_.first, start_ms_, left_)) {
      return false;
    }
    if (!is_smoothed_ || span_.last == 0 || columns_.times_ms[span_.last] <= end_ms_) {
      assign(right_, at(span_.last));
      return true;
    }
    return find_between(span_.last - 1, end_ms_, right_);
  }

  bool add_what_resets_wiped_out(FloatHistogram& change) {
    std::size_t next = span_.first + 1;
    HistogramView previous = view_of(left_);
    if (is_left_between_ && is_reset(at(next), at(span_.first))) {
      // The left edge lies behind that reset already.
      previous = at(next);
      ++next;
    }
    if (next > span_.last) return true;
    for (; next < span_.last; ++next) {
      if (is_reset(at(next), previous) && !correct(previous)) return false;
      previous = at(next);
    }
    if (is_reset(view_of(right_), previous) && !correct(previous)) return false;
    if (!correction_) return true;
    return check(add(change, view_of(*correction_)), RangeRemark::kReconciledAddition);
  }

  bool correct(const HistogramView& lost) {
    if (correction_) return check(add(*correction_, lost), RangeRemark::kReconciledAddition);
    assign(correction_.emplace(), lost);
    return true;
  }

  const HistogramColumns& columns_;
  const bool is_smoothed_;
  const Reading reading_;
  const std::int64_t start_ms_;
  const std::int64_t end_ms_;
  const ExtendedSpan span_;
  RangeRemarks& remarks_;
  bool is_left_between_ = false;
  FloatHistogram left_;
  FloatHistogram right_;
  std::optional<FloatHistogram> correction_;
};

/// The samples in (after, until], by position.
ExtendedSpan loaded(std::span<const std::int64_t> times, std::int64_t after, std::int64_t until) {
  const auto position = [&](std::int64_t t) {
    return static_cast<std::size_t>(std::upper_bound(times.begin(), times.end(), t) -
                                    times.begin());
  };
  return {position(after), position(until)};
}

bool is_empty(const ExtendedSpan& span) { return span.first == span.last; }

template <Extension extension, Reading reading, bool is_rate>
void change_kernel(const MixedInput& in, double* out) {
  in.float_kernel(in.floats, in.windows, in.arguments, out);
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    const std::int64_t after = in.windows.start_ms(k) - in.windows.before_ms;
    const std::int64_t until = in.windows.end_ms(k) + in.windows.after_ms;
    if (is_empty(loaded(in.histograms.times_ms, after, until))) continue;
    out[k] = absent_value();
    if (!is_empty(loaded(in.floats.times_ms, after, until))) {
      in.remarks.add(RangeRemark::kMixedKinds);
      continue;
    }
    const auto span = extended_span(extension, in.histogram_times(), in.windows, k);
    if (!span) continue;
    FloatHistogram& change = in.pool.take();
    if (!EdgeChange(in, extension, reading, k, *span).compute(change)) continue;
    if constexpr (is_rate) divide(change, to_seconds(in.windows.range_ms));
    change.hint = CounterResetHint::kGauge;
    compact(change);
    out[k] = histogram_cell(change);
  }
}

template <typename Pairs>
void count_from_anchor(const MixedInput& in, double* out, Pairs&& pairs_of) {
  const MergedPairs& pairs = pairs_of(in);
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    const auto span =
        extended_span(Extension::kAnchored, Column{pairs.times_ms, {}}, in.windows, k);
    out[k] = span ? pairs.hits_until[span->last] - pairs.hits_until[span->first] : absent_value();
  }
}

void anchored_resets(const MixedInput& in, double* out) {
  count_from_anchor(in, out, merged_resets);
}
void anchored_changes(const MixedInput& in, double* out) {
  count_from_anchor(in, out, merged_changes);
}

template <Extension extension>
MixedKernel kernel_of(FunctionId function) {
  switch (function) {
    case FunctionId::kRate: return change_kernel<extension, Reading::kCounter, true>;
    case FunctionId::kIncrease: return change_kernel<extension, Reading::kCounter, false>;
    case FunctionId::kDelta: return change_kernel<extension, Reading::kGauge, false>;
    default: return nullptr;
  }
}

/// A smoothed histogram at `t`, where only histograms are near; absent if none can be made.
double smoothed_cell(const MixedInput& in, const ExtendedSpan& near, std::int64_t t) {
  const HistogramColumns& columns = in.histograms;
  const auto begin = columns.times_ms.begin();
  const auto next =
      static_cast<std::size_t>(std::lower_bound(begin + static_cast<std::ptrdiff_t>(near.first),
                                                begin + static_cast<std::ptrdiff_t>(near.last), t) -
                               begin);
  if (next < near.last && columns.times_ms[next] == t) return in.pool.keep(view_of(columns, next));
  if (next == near.first) return absent_value();
  FloatHistogram& h = in.pool.take();
  if (next == near.last) {
    assign(h, view_of(columns, next - 1));
    // The hint speaks of this sample and the one before it, not of this value.
    h.hint = CounterResetHint::kUnknown;
    return histogram_cell(h);
  }
  const bool are_gauges = columns.hints[next - 1] == CounterResetHint::kGauge &&
                          columns.hints[next] == CounterResetHint::kGauge;
  const double share = static_cast<double>(t - columns.times_ms[next - 1]) /
                       static_cast<double>(columns.times_ms[next] - columns.times_ms[next - 1]);
  const bool is_mixed =
      columns.layout_of(next - 1).is_custom() != columns.layout_of(next).is_custom();
  if (is_mixed) {
    in.remarks.add(RangeRemark::kMixedBuckets);
    return absent_value();
  }
  const Interpolation found = interpolate(view_of(columns, next - 1), view_of(columns, next), share,
                                          are_gauges ? Reading::kGauge : Reading::kCounter, h);
  if (found.subtraction.is_reconciled) in.remarks.add(RangeRemark::kReconciledSubtraction);
  if (found.addition.is_reconciled) in.remarks.add(RangeRemark::kReconciledAddition);
  return histogram_cell(h);
}

}  // namespace

MixedKernel mixed_extended_kernel(FunctionId function, Extension extension) {
  if (extension == Extension::kSmoothed) return kernel_of<Extension::kSmoothed>(function);
  if (function == FunctionId::kResets) return anchored_resets;
  if (function == FunctionId::kChanges) return anchored_changes;
  return kernel_of<Extension::kAnchored>(function);
}

void mixed_smoothed_instant_kernel(const MixedInput& in, double* out) {
  in.float_kernel(in.floats, in.windows, in.arguments, out);
  for (std::size_t k = 0; k < in.windows.count; ++k) {
    const std::int64_t t = in.windows.end_ms(k);
    const std::int64_t after = in.windows.start_ms(k);
    const std::int64_t until = t + in.windows.after_ms;
    const ExtendedSpan near = loaded(in.histograms.times_ms, after, until);
    if (is_empty(near)) continue;
    if (!is_empty(loaded(in.floats.times_ms, after, until))) {
      in.remarks.add(RangeRemark::kMixedKinds);
      out[k] = absent_value();
      continue;
    }
    out[k] = smoothed_cell(in, near, t);
  }
}

}  // namespace tarsier::query
