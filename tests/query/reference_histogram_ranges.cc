#include <algorithm>
#include <cmath>

#include "tests/query/reference_histogram.h"
#include "tests/query/reference_values.h"

namespace tarsier::testing {
namespace {

using query::FunctionId;
using tsdb::CounterResetHint;

double in_seconds(Duration d) { return static_cast<double>(d.ms) / 1000; }

HistogramPtr kept(ReferenceHistogram h) {
  return std::make_shared<const ReferenceHistogram>(std::move(h));
}

bool is_gauge(const HistogramPtr& h) { return h->hint == CounterResetHint::kGauge; }

constexpr const char* kMixedKinds = "encountered a mix of histograms and floats for metric name ";
constexpr const char* kMixedBuckets =
    "vector contains a mix of histograms with exponential and custom buckets schemas for metric "
    "name ";
constexpr const char* kNotCounter = "this native histogram metric is not a counter: ";
constexpr const char* kNotGauge = "this native histogram metric is not a gauge: ";

void tell_reconciled(RangeOutcome& out, const std::string& verb) {
  out.remarks.push_back({"mismatched custom buckets were reconciled during " + verb, false, false});
}

/// rate, increase, delta.
RangeOutcome extrapolated(FunctionId id, const Window& w) {
  RangeOutcome out;
  const std::vector<HistogramSample>& h = w.histograms;
  if (h.size() < 2) return out;
  const bool is_counter = id != FunctionId::kDelta;
  HistogramPtr first = h.front().histogram;
  const HistogramPtr last = h.back().histogram;
  if (is_counter && (is_gauge(first) || is_gauge(last))) out.remarks.push_back({kNotCounter});
  if (is_counter && is_counter_reset(*first, *h[1].histogram)) {
    ReferenceHistogram nothing;
    nothing.schema = h[1].histogram->schema;
    nothing.bounds = h[1].histogram->bounds;
    first = kept(nothing);
  }
  if (first->is_custom() != last->is_custom()) {
    out.remarks.push_back({kMixedBuckets});
    return out;
  }
  // As coarse as the coarsest that is looked at.
  ReferenceHistogram change = *last;
  const auto coarsen_to = [&](int schema) {
    ReferenceHistogram shape;
    shape.schema = schema;
    bool reconciled = false;
    if (!change.is_custom() && schema < change.schema) align(change, shape, reconciled);
  };
  coarsen_to(first->schema);
  for (std::size_t i = 1; is_counter && i + 1 < h.size(); ++i) {
    const HistogramPtr& middle = h[i].histogram;
    if (is_gauge(middle)) out.remarks.push_back({kNotCounter});
    if (middle->is_custom() != first->is_custom()) {
      out.remarks = {{kMixedBuckets}};
      return out;
    }
    coarsen_to(middle->schema);
  }
  const auto apply = [&](const ReferenceHistogram& other, double sign, const char* verb) {
    const ReferenceSum sum = *added(change, other, sign);
    if (sum.reconciled) tell_reconciled(out, verb);
    change = sum.histogram;
  };
  apply(*first, -1, "subtraction");
  HistogramPtr previous = first;
  for (std::size_t i = 1; is_counter && i < h.size(); ++i) {
    if (is_counter_reset(*previous, *h[i].histogram)) apply(*previous, 1, "addition");
    previous = h[i].histogram;
  }
  if (!is_counter && !(is_gauge(h.front().histogram) && is_gauge(last))) {
    out.remarks.push_back({kNotGauge});
  }
  change.hint = CounterResetHint::kGauge;

  const double sampled = in_seconds(h.back().t - h.front().t);
  const double average = sampled / static_cast<double>(h.size() - 1);
  double to_start = in_seconds(h.front().t - w.start);
  double to_end = in_seconds(w.end - h.back().t);
  if (to_start >= average * 1.1) to_start = average / 2;
  const double start_count = h.front().histogram->count;
  if (is_counter && change.count > 0 && start_count >= 0) {
    to_start = std::min(to_start, sampled * (start_count / change.count));
  }
  if (to_end >= average * 1.1) to_end = average / 2;
  double factor = sampled == 0 ? 1 : (sampled + to_start + to_end) / sampled;
  if (id == FunctionId::kRate) factor /= in_seconds(w.end - w.start);
  out.histogram = kept(scaled(compacted(change), factor));
  return out;
}

struct AnySample {
  Timestamp t;
  double v = 0;
  HistogramPtr histogram;
};

std::vector<AnySample> all_samples(const Window& w) {
  std::vector<AnySample> all;
  for (const tsdb::Sample& s : w.samples) all.push_back({s.t, s.v, nullptr});
  for (const HistogramSample& s : w.histograms) all.push_back({s.t, 0, s.histogram});
  std::ranges::stable_sort(all, {}, [](const AnySample& s) { return s.t.ms; });
  return all;
}

/// irate and idelta.
RangeOutcome instantaneous(FunctionId id, const Window& w) {
  RangeOutcome out;
  const std::vector<AnySample> all = all_samples(w);
  if (all.size() < 2) return out;
  const AnySample& last = all[all.size() - 1];
  const AnySample& previous = all[all.size() - 2];
  const bool is_rate = id == FunctionId::kIrate;
  const double between = in_seconds(last.t - previous.t);
  if ((last.histogram == nullptr) != (previous.histogram == nullptr)) {
    out.remarks.push_back({kMixedKinds});
    return out;
  }
  if (last.histogram == nullptr) {
    out.value = is_rate && last.v < previous.v ? last.v : last.v - previous.v;
    if (is_rate) *out.value /= between;
    return out;
  }
  const bool any = is_gauge(last.histogram) || is_gauge(previous.histogram);
  const bool both = is_gauge(last.histogram) && is_gauge(previous.histogram);
  if (is_rate && any) out.remarks.push_back({kNotCounter});
  if (!is_rate && !both) out.remarks.push_back({kNotGauge});
  ReferenceHistogram change = *last.histogram;
  if (!is_rate || !is_counter_reset(*previous.histogram, *last.histogram)) {
    const auto sum = added(change, *previous.histogram, -1);
    if (!sum) {
      out.remarks.push_back({kMixedBuckets});
      return out;
    }
    if (sum->reconciled) tell_reconciled(out, "subtraction");
    change = sum->histogram;
  }
  change.hint = CounterResetHint::kGauge;
  change = compacted(change);
  out.histogram = kept(is_rate ? divided(change, between) : change);
  return out;
}

double count_pairs(FunctionId id, const Window& w) {
  const std::vector<AnySample> all = all_samples(w);
  double count = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const AnySample& a = all[i - 1];
    const AnySample& b = all[i];
    bool hit = (a.histogram == nullptr) != (b.histogram == nullptr);
    if (!hit && a.histogram != nullptr) {
      hit = id == FunctionId::kResets ? is_counter_reset(*a.histogram, *b.histogram)
                                      : !are_equal(*a.histogram, *b.histogram);
    } else if (!hit) {
      hit = id == FunctionId::kResets ? b.v < a.v
                                      : a.v != b.v && !(std::isnan(a.v) && std::isnan(b.v));
    }
    if (hit) count += 1;
  }
  return count;
}

RangeOutcome total(FunctionId id, const Window& w) {
  RangeOutcome out;
  std::vector<HistogramPtr> histograms;
  for (const HistogramSample& s : w.histograms) histograms.push_back(s.histogram);
  if (histograms.size() == 1) {
    out.histogram = histograms[0];
    return out;
  }
  const ReferenceTotal sum = total_of(histograms, id == FunctionId::kAvgOverTime);
  if (sum.collides) {
    out.remarks.push_back({"conflicting counter resets during histogram aggregation", true, false});
  }
  if (sum.reconciled) tell_reconciled(out, "aggregation");
  if (sum.histogram) {
    out.histogram = kept(*sum.histogram);
  } else {
    out.remarks.push_back({kMixedBuckets});
  }
  return out;
}

}  // namespace

RangeOutcome mixed_range_function(FunctionId id, const Window& w,
                                  const std::vector<double>& parameters, Timestamp step_time) {
  RangeOutcome out;
  const bool both = !w.samples.empty() && !w.histograms.empty();
  const std::vector<AnySample> all = all_samples(w);
  if (all.empty()) return out;
  const auto take = [&](const AnySample& s) {
    if (s.histogram == nullptr) {
      out.value = s.v;
    } else {
      out.histogram = s.histogram;
    }
  };
  switch (id) {
    case FunctionId::kIrate:
    case FunctionId::kIdelta: return instantaneous(id, w);
    case FunctionId::kResets:
    case FunctionId::kChanges: out.value = count_pairs(id, w); return out;
    case FunctionId::kCountOverTime: out.value = static_cast<double>(all.size()); return out;
    case FunctionId::kPresentOverTime: out.value = 1; return out;
    case FunctionId::kFirstOverTime: take(all.front()); return out;
    case FunctionId::kLastOverTime: take(all.back()); return out;
    case FunctionId::kRate:
    case FunctionId::kIncrease:
    case FunctionId::kDelta:
    case FunctionId::kSumOverTime:
    case FunctionId::kAvgOverTime:
      if (both) {
        out.remarks.push_back({kMixedKinds});
        return out;
      }
      if (w.histograms.empty()) break;
      return id == FunctionId::kSumOverTime || id == FunctionId::kAvgOverTime ? total(id, w)
                                                                              : extrapolated(id, w);
    default:
      if (both) {
        out.remarks.push_back(
            {"ignored histograms in a range containing both floats and histograms for metric "
             "name ",
             false});
      }
  }
  out.value = range_function(id, w, parameters, step_time);
  return out;
}

}  // namespace tarsier::testing
