#include "query/exec/selection.h"

#include <algorithm>
#include <string>

#include "query/histogram/columns.h"
#include "tsdb/select_warnings.h"

namespace tarsier::query {
namespace {

class InstantStream final : public VectorStream {
 public:
  InstantStream(Context& context, const Selection& selection, Grid grid, const Windows& ends,
                SampleAspect aspect, HistogramDetail detail)
      : VectorStream(grid),
        context_(context),
        selection_(selection),
        set_(*selection.set),
        ends_(ends),
        aspect_(aspect),
        detail_(detail) {}

  std::size_t size() const override { return set_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return set_.labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return set_.label(i, name);
  }
  bool may_have_names() const override { return true; }
  bool is_distinct_without_names() const override { return selection_.has_one_name(); }
  bool may_have_histograms() const override {
    return selection_.may_have_histograms &&
           (aspect_ == SampleAspect::kValue || aspect_ == SampleAspect::kTimeOfFloat);
  }

  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    if (grid().count == 0) return {};
    if (aspect_ == SampleAspect::kStartTime) return read_starts(series, rows, scratch);
    if (selection_.may_have_histograms) return read_mixed(series, rows, scratch);
    if (grid().count == 1) return read_newest(series, rows);
    auto columns = scratch.columns();
    const TimeRange range{Timestamp{ends_.start_ms(0) + 1},
                          Timestamp{ends_.end_ms(grid().count - 1)}};
    std::uint64_t samples = 0;
    for (std::size_t i = 0; i < series.size(); ++i) {
      columns->clear();
      TRY(set_.read(series[i], range, *columns));
      samples += columns->size();
      TRY(pick(*columns, rows + i * grid().count));
      if (context_.step_counter) context_.step_counter->add_row(rows + i * grid().count, grid());
    }
    return context_.count_read(samples);
  }

 private:
  double aspect_of(std::int64_t time_ms, double v) const {
    if (aspect_ == SampleAspect::kValue || is_absent(v)) return v;
    return static_cast<double>(time_ms) / 1000;
  }

  Status read_newest(std::span<const std::uint32_t> series, double* rows) const {
    const TimeRange range{Timestamp{ends_.start_ms(0) + 1}, Timestamp{ends_.end_ms(0)}};
    for (std::size_t i = 0; i < series.size(); ++i) {
      const std::optional<tsdb::Sample> newest = TRY(set_.last_sample(series[i], range));
      rows[i] = newest ? aspect_of(newest->t.ms, newest->v) : absent_value();
      if (context_.step_counter) context_.step_counter->add_row(rows + i, grid());
    }
    return context_.count_read(series.size());
  }

  /// The start timestamp of the newest sample of either kind, in seconds.
  Status read_starts(std::span<const std::uint32_t> series, double* rows, Scratch& scratch) const {
    auto floats = scratch.columns();
    auto histograms = scratch.histogram_columns();
    const TimeRange range{Timestamp{ends_.start_ms(0) + 1},
                          Timestamp{ends_.end_ms(grid().count - 1)}};
    std::vector<std::int64_t> starts_of_floats;
    std::vector<std::int64_t> starts_of_histograms;
    for (std::size_t i = 0; i < series.size(); ++i) {
      floats->clear();
      histograms->clear();
      starts_of_floats.clear();
      starts_of_histograms.clear();
      TRY(set_.read_mixed(series[i], range, *floats, *histograms));
      if (set_.has_start_times()) {
        TRY(set_.read_start_times(series[i], range, starts_of_floats, starts_of_histograms));
      }
      starts_of_floats.resize(floats->size(), 0);
      starts_of_histograms.resize(histograms->size(), 0);
      for (std::size_t k = 0; k < grid().count; ++k) {
        const std::size_t f = newest(floats->times_ms, k);
        const std::size_t h = newest(histograms->times_ms, k);
        const bool is_float =
            f > 0 && (h == 0 || floats->times_ms[f - 1] > histograms->times_ms[h - 1]);
        double& cell = rows[i * grid().count + k];
        if (is_float) {
          cell = tsdb::is_stale_marker(floats->values[f - 1])
                     ? absent_value()
                     : static_cast<double>(starts_of_floats[f - 1]) / 1000;
        } else {
          cell = h == 0 || histograms->is_stale(h - 1)
                     ? absent_value()
                     : static_cast<double>(starts_of_histograms[h - 1]) / 1000;
        }
      }
    }
    return {};
  }

  /// The position behind the newest of `times` within step k's lookback; 0 if there is none.
  std::size_t newest(const std::vector<std::int64_t>& times, std::size_t k) const {
    const std::int64_t end = ends_.end_ms(k);
    const auto next =
        static_cast<std::size_t>(std::upper_bound(times.begin(), times.end(), end) - times.begin());
    return next > 0 && times[next - 1] > end - ends_.range_ms ? next : 0;
  }

  /// The same where any series may have histograms.
  Status read_mixed(std::span<const std::uint32_t> series, double* rows, Scratch& scratch) const {
    auto columns = scratch.columns();
    auto histograms = scratch.histogram_columns();
    const TimeRange range{Timestamp{ends_.start_ms(0) + 1},
                          Timestamp{ends_.end_ms(grid().count - 1)}};
    std::uint64_t samples = 0;
    for (std::size_t i = 0; i < series.size(); ++i) {
      double* const row = rows + i * grid().count;
      const bool may_have_histograms_here = set_.may_have_histograms(series[i]);
      if (!may_have_histograms_here && grid().count == 1) {
        TRY(read_newest(series.subspan(i, 1), row));
        *row = as_float(*row);
        continue;
      }
      columns->clear();
      histograms->clear();
      if (may_have_histograms_here) {
        TRY(set_.read_mixed(series[i], range, *columns, *histograms));
        if (detail_ == HistogramDetail::kStatistics) keep_statistics(*histograms);
      } else {
        TRY(set_.read(series[i], range, *columns));
      }
      for (double& v : columns->values) v = as_float(v);
      samples += columns->size() + histograms->size();
      if (histograms->empty()) {
        TRY(pick(*columns, row));
      } else {
        TRY(pick_mixed(*columns, *histograms, row, scratch.histograms()));
      }
      if (context_.step_counter) context_.step_counter->add_row(row, grid());
    }
    return context_.count_read(samples);
  }

  Status pick_mixed(const tsdb::SampleColumns& columns, const tsdb::HistogramColumns& histograms,
                    double* row, HistogramPool& pool) const {
    TRY(pick(columns, row));
    std::size_t next_float = 0;
    std::size_t next = 0;
    std::size_t kept = 0;  // The histogram of the last cell made, and 1.
    double cell = absent_value();
    for (std::size_t k = 0; k < grid().count; ++k) {
      const std::int64_t end = ends_.end_ms(k);
      while (next < histograms.size() && histograms.times_ms[next] <= end) ++next;
      while (next_float < columns.size() && columns.times_ms[next_float] <= end) ++next_float;
      if (next == 0) continue;
      const std::int64_t time = histograms.times_ms[next - 1];
      if (time <= end - ends_.range_ms) continue;
      if (next_float > 0 && columns.times_ms[next_float - 1] > time) continue;
      if (kept != next) {
        kept = next;
        cell = cell_of(histograms, next - 1, pool);
      }
      row[k] = cell;
    }
    return {};
  }

  double cell_of(const tsdb::HistogramColumns& histograms, std::size_t i,
                 HistogramPool& pool) const {
    if (histograms.is_stale(i)) return absent_value();
    if (aspect_ == SampleAspect::kTime) return static_cast<double>(histograms.times_ms[i]) / 1000;
    return pool.keep(view_of(histograms, i));
  }

  /// A stale marker is what a row holds where nothing is, so it needs no test of its own.
  Status pick(const tsdb::SampleColumns& columns, double* row) const {
    std::size_t next = 0;
    std::size_t moved = 0;
    for (std::size_t k = 0; k < grid().count; ++k) {
      if (k % kStepsBetweenLooks == kStepsBetweenLooks - 1) TRY(context_.check_alive());
      const std::int64_t end = ends_.end_ms(k);
      next = position_after(columns.times_ms, next, end, moved);
      const bool is_found = next > 0 && columns.times_ms[next - 1] > end - ends_.range_ms;
      row[k] = is_found ? aspect_of(columns.times_ms[next - 1], columns.values[next - 1])
                        : absent_value();
    }
    return {};
  }

  Context& context_;
  const Selection& selection_;
  const tsdb::SeriesSet& set_;
  const Windows ends_;
  const SampleAspect aspect_;
  const HistogramDetail detail_;
};

bool names_metric(const std::vector<tsdb::Matcher>& matchers) {
  return std::any_of(matchers.begin(), matchers.end(), [](const tsdb::Matcher& m) {
    return m.op() == tsdb::MatchOp::kEqual && m.name() == tsdb::kMetricName && !m.value().empty();
  });
}

}  // namespace

bool Selection::has_one_name() const {
  if (!names_metric) return set->size() < 2;
  for (const std::string_view name : {"__type__", "__unit__"}) {
    if (!set->may_have_label(name)) continue;
    for (std::size_t i = 0; i < set->size(); ++i) {
      if (!set->label(i, name).empty()) return false;
    }
  }
  return true;
}

Result<const Selection*> Selections::of(const Selector& selector) {
  if (querier_ == nullptr) TRY(open_all());
  return &open_[place_[plan_.selection_of.at(&selector)]];
}

Status Selections::open_all() {
  TRY(context_.check_alive());
  const double begun = context_.elapsed_seconds();
  querier_ = TRY(storage_.querier(plan_.data_range));
  // The plan keeps apart what rows may answer differently; mostly there are none.
  const bool may_share = !querier_->heeds_resolution();
  std::vector<tsdb::SelectRequest> requests;
  for (const PlannedSelection& planned : plan_.selections) {
    const auto same = std::find_if(
        requests.begin(), requests.end(),
        [&](const tsdb::SelectRequest& r) { return may_share && r.matchers == planned.matchers; });
    place_.push_back(static_cast<std::size_t>(same - requests.begin()));
    if (same == requests.end()) {
      requests.push_back({planned.matchers, planned.hints});
      requests.back().hints.resolution.served = &context_.served;
      continue;
    }
    tsdb::SelectHints& hints = same->hints;
    hints.range.min = std::min(hints.range.min, planned.hints.range.min);
    hints.range.max = std::max(hints.range.max, planned.hints.range.max);
    hints.step = {};
    hints.window = {};
    hints.function.clear();
  }
  auto sets = querier_->select_all(requests, context_.cancel_token());
  if (!sets.ok()) {
    TRY(context_.check_alive());
    return std::move(sets).status().with_prefix("expanding series");
  }
  std::uint64_t selected = 0;
  for (const auto& set : *sets) selected += set->size();
  if (plan_.series_ceiling != 0 && selected > plan_.series_ceiling) {
    return limit_exceeded("query selects " + std::to_string(selected) + " series, more than " +
                          std::to_string(plan_.series_ceiling) + " (max_series)");
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (std::string& warning : tsdb::warnings_of(*(*sets)[i])) {
      context_.annotator.warn_plainly(std::move(warning));
    }
    const bool may_have_histograms = (*sets)[i]->has_histogram_series();
    open_.push_back(
        {std::move((*sets)[i]), names_metric(requests[i].matchers), may_have_histograms});
  }
  context_.find_seconds += context_.elapsed_seconds() - begun;
  return {};
}

StreamPtr select_instant(Context& context, const Selection& selection, Grid grid,
                         const Windows& ends, SampleAspect aspect, HistogramDetail detail) {
  return std::make_unique<InstantStream>(context, selection, grid, ends, aspect, detail);
}

}  // namespace tarsier::query
