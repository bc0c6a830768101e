#include "alerting/event_scan.h"

#include <algorithm>
#include <cmath>

namespace tarsier::alerting {
namespace {

/// How far before a span its first increases are looked for: at once, and where that finds nothing.
constexpr Duration kNearBefore = minutes(10);
constexpr Duration kFarBefore = days(1);

double increase(double before, double now) { return now < before ? now : now - before; }

bool holds(SliComparison comparison, double value, double bound) {
  switch (comparison) {
    case SliComparison::kLess: return value < bound;
    case SliComparison::kLessEqual: return value <= bound;
    case SliComparison::kGreater: return value > bound;
    case SliComparison::kGreaterEqual: return value >= bound;
  }
  return false;
}

/// The bounds of bucket `index` of an exponential schema.
double exponential_bound(std::int32_t schema, std::int32_t index) {
  return std::exp2(std::ldexp(static_cast<double>(index), -schema));
}

class Scanner final {
 public:
  Scanner(const Slo& slo, StepClock clock, SampleTimes sample_times, EventScan& out)
      : slo_(slo), clock_(clock), keeps_times_(sample_times == SampleTimes::kYes), out_(out) {}

  void finish() {
    for (auto& [labels, newest] : newest_by_step_) {
      for (const std::int64_t t_ms : newest) {
        if (t_ms != 0) out_.groups[labels].sample_times.push_back({t_ms});
      }
    }
  }

  Status read_term(const tsdb::Querier& querier, std::size_t index, const CancelToken* cancel) {
    const SliTerm& term = slo_.terms()[index];
    const Timestamp begin = clock_.end_of(out_.first_step - 1);
    const Timestamp end = clock_.end_of(out_.last_step);
    const std::unique_ptr<tsdb::SeriesSet> set = TRY(
        querier.select(term.matchers, {.range = {.min = begin - kFarBefore, .max = end}}, cancel));
    for (std::size_t i = 0; i < set->size(); ++i) {
      if (cancel != nullptr && cancel->is_cancelled()) return cancelled("counting was stopped");
      TRY(read_series(*set, i, index, begin, end));
    }
    return {};
  }

 private:
  Status read_series(const tsdb::SeriesSet& set, std::size_t i, std::size_t index, Timestamp begin,
                     Timestamp end) {
    const SliTerm& term = slo_.terms()[index];
    const bool is_histogram = term.measure == SliMeasure::kHistogram;
    if (is_histogram && !set.may_have_histograms(i)) return {};
    columns_.clear();
    histograms_.clear();
    const TimeRange range{.min = begin - kNearBefore, .max = end};
    if (is_histogram) {
      TRY(set.read_mixed(i, range, columns_, histograms_));
    } else {
      TRY(set.read(i, range, columns_));
    }
    SeriesTail tail;
    const bool has_before = is_histogram
                                ? (!histograms_.empty() && histograms_.times_ms.front() <= begin.ms)
                                : (columns_.size() > 0 && columns_.times_ms.front() <= begin.ms);
    const bool has_any = is_histogram ? !histograms_.empty() : columns_.size() > 0;
    if (!has_any) return {};
    if (!has_before) TRY(look_back(set, i, term, begin, tail));
    const tsdb::Labels labels = set.labels(i);
    GroupEvents& group = group_of_series(labels);
    if (tail.is_known) note(group, tail.t_ms);
    if (is_histogram) {
      out_.samples_read += histograms_.size();
      for (std::size_t n = 0; n < histograms_.size(); ++n)
        add_histogram(group, term, tail, begin, n);
    } else {
      out_.samples_read += columns_.size();
      add_floats(group, term, tail, begin);
    }
    if (tail.is_known) {
      out_.series.push_back({.term = index, .labels = labels, .tail = tail});
    }
    return {};
  }

  GroupEvents& group_of_series(const tsdb::Labels& labels) {
    GroupEvents& group = out_.groups[group_of(slo_, labels)];
    if (keeps_times_) {
      newest_ = &newest_by_step_[group_of(slo_, labels)];
      newest_->resize(static_cast<std::size_t>(out_.last_step - out_.first_step + 1));
    }
    if (group.events.empty()) {
      group.events.resize(static_cast<std::size_t>(out_.last_step - out_.first_step + 1));
    }
    return group;
  }

  static void note(GroupEvents& group, std::int64_t t_ms) {
    const Timestamp t{t_ms};
    if (!group.first_sample || t < *group.first_sample) group.first_sample = t;
    if (!group.last_sample || t > *group.last_sample) group.last_sample = t;
  }

  Status look_back(const tsdb::SeriesSet& set, std::size_t i, const SliTerm& term, Timestamp begin,
                   SeriesTail& tail) {
    const TimeRange range{.min = begin - kFarBefore, .max = begin};
    if (term.measure == SliMeasure::kHistogram) {
      tsdb::SampleColumns floats;
      tsdb::HistogramColumns before;
      TRY(set.read_mixed(i, range, floats, before));
      for (std::size_t n = 0; n < before.size(); ++n) {
        if (!before.is_stale(n)) keep(before, n, term, tail);
      }
      return {};
    }
    const std::optional<tsdb::Sample> last = TRY(set.last_sample(i, range));
    if (!last) return {};
    if (!std::isnan(last->v)) {
      tail = {.t_ms = last->t.ms, .value = last->v, .is_known = true};
      return {};
    }
    // The series was marked as ended: what counts is the value before.
    tsdb::SampleColumns before;
    TRY(set.read(i, range, before));
    for (std::size_t n = 0; n < before.size(); ++n) {
      if (std::isnan(before.values[n])) continue;
      tail = {.t_ms = before.times_ms[n], .value = before.values[n], .is_known = true};
    }
    return {};
  }

  /// The loop a backtest spends its time in.
  void add_floats(GroupEvents& group, const SliTerm& term, SeriesTail& tail, Timestamp begin) {
    const std::int64_t first = out_.first_step;
    for (std::size_t n = 0; n < columns_.size(); ++n) {
      const double v = columns_.values[n];
      if (std::isnan(v)) continue;
      const std::int64_t t_ms = columns_.times_ms[n];
      if (t_ms > begin.ms) {
        const auto step = static_cast<std::size_t>(clock_.step_of({t_ms}) - first);
        group.events[step] += events_of(term, tail, v);
        if (newest_ != nullptr) (*newest_)[step] = std::max((*newest_)[step], t_ms);
      }
      if (!tail.is_known) note(group, t_ms);
      tail = {.t_ms = t_ms, .value = v, .is_known = true};
    }
    if (tail.is_known) note(group, tail.t_ms);
  }

  static void keep(const tsdb::HistogramColumns& columns, std::size_t n, const SliTerm& term,
                   SeriesTail& tail) {
    tail = {.t_ms = columns.times_ms[n],
            .value = columns.counts[n],
            .below = observations_below(columns.at(n), term.bound),
            .is_known = true};
  }

  void add_histogram(GroupEvents& group, const SliTerm& term, SeriesTail& tail, Timestamp begin,
                     std::size_t n) {
    if (histograms_.is_stale(n)) return;
    const SeriesTail before = tail;
    keep(histograms_, n, term, tail);
    note(group, tail.t_ms);
    if (!before.is_known || tail.t_ms <= begin.ms) return;
    const auto step = static_cast<std::size_t>(clock_.step_of({tail.t_ms}) - out_.first_step);
    if (newest_ != nullptr) (*newest_)[step] = std::max((*newest_)[step], tail.t_ms);
    group.events[step] += events_between(term, before, tail);
  }

  const Slo& slo_;
  const StepClock clock_;
  const bool keeps_times_;
  EventScan& out_;
  std::map<tsdb::Labels, std::vector<std::int64_t>> newest_by_step_;
  std::vector<std::int64_t>* newest_ = nullptr;  ///< Of the group that is read.
  tsdb::SampleColumns columns_;
  tsdb::HistogramColumns histograms_;
};

}  // namespace

EventCounts events_of(const SliTerm& term, const SeriesTail& tail, double value) {
  double amount = 0;
  switch (term.measure) {
    case SliMeasure::kCounter:
      if (!tail.is_known) return {};
      amount = increase(tail.value, value);
      break;
    case SliMeasure::kSampleCount: amount = 1; break;
    case SliMeasure::kSampleSum: amount = value; break;
    case SliMeasure::kComparison: amount = holds(term.comparison, value, term.bound) ? 1 : 0; break;
    case SliMeasure::kHistogram: return {};
  }
  return {.bad = term.bad_weight * amount, .total = term.total_weight * amount};
}

EventCounts events_between(const SliTerm& term, const SeriesTail& before, const SeriesTail& now) {
  if (!before.is_known) return {};
  const bool is_reset = now.value < before.value;
  const double count = is_reset ? now.value : now.value - before.value;
  const double below = is_reset ? now.below : now.below - before.below;
  return {.bad = term.bad_weight * (count - below), .total = term.total_weight * count};
}

double observations_below(const tsdb::FloatHistogram& histogram, double bound) {
  const tsdb::BucketLayout& layout = histogram.layout;
  double below = 0;
  for (const double count : histogram.negative_counts) below += count;  // Bounds are positive.
  if (bound >= layout.zero_threshold) {
    below += histogram.zero_count;
  } else if (layout.zero_threshold > 0) {
    below += histogram.zero_count * (bound + layout.zero_threshold) / (2 * layout.zero_threshold);
  }
  std::size_t at = 0;
  std::int64_t index = 0;
  for (const tsdb::BucketSpan& span : layout.positive_spans) {
    index += span.offset;
    for (std::uint32_t n = 0; n < span.length; ++n, ++index, ++at) {
      const double count = histogram.positive_counts[at];
      double lower = 0;
      double upper = 0;
      if (layout.is_custom()) {
        const auto i = static_cast<std::size_t>(index);
        lower = i == 0 ? 0 : layout.custom_bounds[i - 1];
        if (i >= layout.custom_bounds.size()) continue;  // Up to infinity.
        upper = layout.custom_bounds[i];
      } else {
        lower = exponential_bound(layout.schema, static_cast<std::int32_t>(index - 1));
        upper = exponential_bound(layout.schema, static_cast<std::int32_t>(index));
      }
      if (upper <= bound) {
        below += count;
      } else if (lower < bound) {
        const double share =
            layout.is_custom() || lower <= 0
                ? (bound - lower) / (upper - lower)
                : (std::log2(bound) - std::log2(lower)) / (std::log2(upper) - std::log2(lower));
        below += count * share;
      }
    }
  }
  return below;
}

TimeRange scan_range(StepClock clock, std::int64_t first_step, std::int64_t last_step) {
  return {.min = clock.end_of(first_step - 1) - kFarBefore, .max = clock.end_of(last_step)};
}

Result<EventScan> scan_events(const tsdb::Querier& querier, const Slo& slo, StepClock clock,
                              std::int64_t first_step, std::int64_t last_step,
                              const CancelToken* cancel, SampleTimes sample_times) {
  EventScan out{.first_step = first_step, .last_step = last_step};
  if (last_step < first_step) return out;
  Scanner scanner(slo, clock, sample_times, out);
  for (std::size_t i = 0; i < slo.terms().size(); ++i) {
    TRY(scanner.read_term(querier, i, cancel));
  }
  scanner.finish();
  return out;
}

}  // namespace tarsier::alerting
