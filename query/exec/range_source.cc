#include "query/exec/range_source.h"

#include <algorithm>
#include <atomic>

#include "base/quote.h"
#include "query/exec/kernel_run.h"
#include "query/histogram/columns.h"

namespace tarsier::query {
namespace {

void remove_stale_markers(tsdb::SampleColumns& columns) {
  // There is hardly ever one: a count, which needs no branch per sample, is the quickest way to
  // know.
  if (std::count_if(columns.values.begin(), columns.values.end(), tsdb::is_stale_marker) == 0) {
    return;
  }
  const auto first =
      std::find_if(columns.values.begin(), columns.values.end(), tsdb::is_stale_marker);
  std::size_t kept = static_cast<std::size_t>(first - columns.values.begin());
  for (std::size_t i = kept; i < columns.size(); ++i) {
    if (tsdb::is_stale_marker(columns.values[i])) continue;
    columns.times_ms[kept] = columns.times_ms[i];
    columns.values[kept] = columns.values[i];
    ++kept;
  }
  columns.times_ms.resize(kept);
  columns.values.resize(kept);
}

class SelectedRange final : public RangeSource {
 public:
  SelectedRange(Context& context, const Selection& selection, Grid grid, const Windows& windows,
                Extension extension, HistogramDetail detail)
      : RangeSource(grid, windows, extension),
        context_(context),
        selection_(selection),
        set_(*selection.set),
        detail_(detail) {}
  std::size_t size() const override { return set_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return set_.labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return set_.label(i, name);
  }
  bool drops_name(std::size_t) const override { return false; }
  bool may_have_names() const override { return true; }
  bool is_distinct_without_names() const override { return selection_.has_one_name(); }
  bool may_have_histograms() const override { return selection_.may_have_histograms; }

  Status read(std::size_t i, tsdb::SampleColumns& out, Scratch&) const override {
    if (windows().count == 0 || windows().range_ms <= 0) return {};
    TRY(set_.read(i, range(), out));
    TRY(count(out.size()));
    remove_stale_markers(out);
    if (context_.step_counter) context_.step_counter->add_windows(out.times_ms, windows(), grid());
    return {};
  }

  Status read_mixed(std::size_t i, tsdb::SampleColumns& floats, tsdb::HistogramColumns& histograms,
                    Scratch& scratch) const override {
    if (!set_.may_have_histograms(i)) {
      TRY(read(i, floats, scratch));
      for (double& v : floats.values) v = as_float(v);
      return {};
    }
    StartTimes none;
    return read_both(i, floats, histograms, none);
  }

  bool has_start_times() const override {
    return context_.options.start_timestamps && set_.has_start_times();
  }
  Status read_with_starts(std::size_t i, tsdb::SampleColumns& floats,
                          tsdb::HistogramColumns& histograms, StartTimes& starts,
                          Scratch&) const override {
    if (windows().count == 0 || windows().range_ms <= 0) return {};
    TRY(set_.read_start_times(i, range(), starts.of_floats_ms, starts.of_histograms_ms));
    return read_both(i, floats, histograms, starts);
  }

 private:
  TimeRange range() const {
    return {Timestamp{windows().start_ms(0) - windows().before_ms + 1},
            Timestamp{windows().end_ms(windows().count - 1) + windows().after_ms}};
  }
  Status read_both(std::size_t i, tsdb::SampleColumns& floats, tsdb::HistogramColumns& histograms,
                   StartTimes& starts) const {
    if (windows().count == 0 || windows().range_ms <= 0) return {};
    TRY(set_.read_mixed(i, range(), floats, histograms));
    std::uint64_t weight = floats.size();
    for (std::size_t k = 0; k < histograms.size(); ++k) {
      weight += sample_weight(view_of(histograms, k));
    }
    TRY(count(weight));
    query::remove_stale_markers(floats, starts.of_floats_ms);
    query::remove_stale_markers(histograms, starts.of_histograms_ms);
    if (detail_ == HistogramDetail::kStatistics) keep_statistics(histograms);
    for (double& v : floats.values) v = as_float(v);
    return {};
  }

  Status count(std::uint64_t samples) const {
    TRY(context_.count_read(samples));
    return context_.budget.pass(samples);
  }

  Context& context_;
  const Selection& selection_;
  const tsdb::SeriesSet& set_;
  const HistogramDetail detail_;
};

class SubqueryRange final : public RangeSource {
 public:
  SubqueryRange(const Context& context, StreamPtr inner, Grid grid, const Windows& windows)
      : RangeSource(grid, windows), context_(context), inner_(std::move(inner)) {}
  std::size_t size() const override { return inner_->size(); }
  tsdb::Labels labels(std::size_t i) const override { return inner_->labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return inner_->label(i, name);
  }
  bool drops_name(std::size_t i) const override { return inner_->drops_name(i); }
  bool may_have_names() const override { return inner_->may_have_names(); }
  bool is_distinct_without_names() const override { return inner_->is_distinct_without_names(); }
  bool may_have_histograms() const override { return inner_->may_have_histograms(); }

  Status read(std::size_t i, tsdb::SampleColumns& out, Scratch& scratch) const override {
    if (may_have_histograms()) {
      auto histograms = scratch.histogram_columns();
      return read_mixed(i, out, *histograms, scratch);
    }
    const Grid& inside = inner_->grid();
    auto row = scratch.doubles(inside.count);
    const std::uint32_t series[] = {static_cast<std::uint32_t>(i)};
    TRY(inner_->read(series, row->data(), scratch));
    for (std::size_t k = 0; k < inside.count; ++k) {
      if (k % kStepsBetweenLooks == kStepsBetweenLooks - 1) TRY(context_.check_alive());
      if (is_present((*row)[k])) out.push_back(Timestamp{inside.time_ms(k)}, (*row)[k]);
    }
    return {};
  }

  Status read_mixed(std::size_t i, tsdb::SampleColumns& floats, tsdb::HistogramColumns& histograms,
                    Scratch& scratch) const override {
    const Grid& inside = inner_->grid();
    auto row = scratch.doubles(inside.count);
    const std::uint32_t series[] = {static_cast<std::uint32_t>(i)};
    const HistogramScope scope(scratch.histograms());
    TRY(inner_->read(series, row->data(), scratch));
    for (std::size_t k = 0; k < inside.count; ++k) {
      if (k % kStepsBetweenLooks == kStepsBetweenLooks - 1) TRY(context_.check_alive());
      const double v = (*row)[k];
      if (is_absent(v)) continue;
      const Timestamp t{inside.time_ms(k)};
      if (!is_histogram(v)) {
        floats.push_back(t, v);
        continue;
      }
      histograms.push_back(t, histogram_in(v));
      // Between the steps of the subquery there may have been other samples.
      tsdb::CounterResetHint& hint = histograms.hints.back();
      if (hint != tsdb::CounterResetHint::kGauge) hint = tsdb::CounterResetHint::kUnknown;
    }
    return {};
  }

 private:
  const Context& context_;
  const StreamPtr inner_;
};

/// The words for what a function found.
void tell(Context& context, const RangeRemarks& remarks, std::string_view metric,
          SourceRange where) {
  const std::string name = quote(metric);
  const auto warn = [&](RangeRemark remark, std::string text) {
    if (remarks.has(remark)) context.annotator.warn(std::move(text), where);
  };
  const auto inform = [&](RangeRemark remark, std::string text) {
    if (remarks.has(remark)) context.annotator.inform(std::move(text), where);
  };
  warn(RangeRemark::kMixedKinds,
       "encountered a mix of histograms and floats for metric name " + name);
  warn(RangeRemark::kNotCounter, "this native histogram metric is not a counter: " + name);
  warn(RangeRemark::kNotGauge, "this native histogram metric is not a gauge: " + name);
  warn(RangeRemark::kMixedBuckets,
       "vector contains a mix of histograms with exponential and custom buckets schemas for metric "
       "name " +
           name);
  warn(RangeRemark::kCollidingHints, "conflicting counter resets during histogram aggregation");
  if (remarks.overlaps() > 0) {
    context.annotator.warn_often(
        "sample has start time that overlaps with previous sample timestamp for metric " + name,
        where, remarks.overlaps());
  }
  inform(RangeRemark::kReconciledAddition,
         "mismatched custom buckets were reconciled during addition");
  inform(RangeRemark::kReconciledSubtraction,
         "mismatched custom buckets were reconciled during subtraction");
  inform(RangeRemark::kReconciledAggregation,
         "mismatched custom buckets were reconciled during aggregation");
  inform(RangeRemark::kIgnoredHistograms,
         "ignored histograms in a range containing both floats and histograms for metric name " +
             name);
}

class KernelStream : public VectorStream {
 public:
  KernelStream(Context& context, RangePtr source, const RangeFunction& function, SourceRange where,
               std::vector<double> first, std::vector<double> second)
      : VectorStream(source->grid()),
        context_(context),
        where_(where),
        source_(std::move(source)),
        function_(function),
        first_(std::move(first)),
        second_(std::move(second)) {}
  std::size_t size() const override { return source_->size(); }
  tsdb::Labels labels(std::size_t i) const override { return source_->labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return source_->label(i, name);
  }
  bool drops_name(std::size_t i) const override { return source_->drops_name(i); }
  bool may_have_names() const override { return source_->may_have_names(); }
  bool is_distinct_without_names() const override { return source_->is_distinct_without_names(); }
  bool may_have_histograms() const override {
    return function_.gives_histograms && source_->may_have_histograms();
  }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    if (source_->may_have_histograms() || takes_start_times()) {
      return read_mixed(series, rows, scratch);
    }
    const KernelArguments arguments = kernel_arguments();
    auto columns = scratch.columns();
    for (std::size_t i = 0; i < series.size(); ++i) {
      columns->clear();
      TRY(source_->read(series[i], *columns, scratch));
      if (columns->size() > kStepsBetweenLooks) TRY(context_.check_alive());
      TRY(run_kernel(context_, function_.kernel, Column{columns->times_ms, columns->values},
                     source_->windows(), arguments, rows + i * grid().count));
    }
    return {};
  }

 protected:
  Context& context() const { return context_; }
  SourceRange where() const { return where_; }

 private:
  bool takes_start_times() const {
    return function_.uses_start_times && source_->has_start_times();
  }

  KernelArguments kernel_arguments() const {
    return {first_.empty() ? nullptr : first_.data(), second_.empty() ? nullptr : second_.data(),
            grid()};
  }

  Status read_mixed(std::span<const std::uint32_t> series, double* rows, Scratch& scratch) const {
    const KernelArguments arguments = kernel_arguments();
    auto floats = scratch.columns();
    auto histograms = scratch.histogram_columns();
    for (std::size_t i = 0; i < series.size(); ++i) {
      floats->clear();
      histograms->clear();
      StartTimes starts;
      if (takes_start_times()) {
        TRY(source_->read_with_starts(series[i], *floats, *histograms, starts, scratch));
      } else {
        TRY(source_->read_mixed(series[i], *floats, *histograms, scratch));
      }
      const Column column{floats->times_ms, floats->values};
      double* const row = rows + i * grid().count;
      if (histograms->empty() && starts.of_floats_ms.empty()) {
        TRY(run_kernel(context_, function_.kernel, column, source_->windows(), arguments, row));
        continue;
      }
      RangeRemarks remarks;
      function_.mixed(
          MixedInput{column, *histograms, source_->windows(), arguments, function_.kernel,
                     scratch.histograms(), remarks, starts.of_floats_ms, starts.of_histograms_ms},
          row);
      if (remarks.any()) tell(context_, remarks, label(series[i], tsdb::kMetricName), where_);
    }
    return {};
  }

  Context& context_;
  const SourceRange where_;
  const RangePtr source_;
  const RangeFunction function_;
  const std::vector<double> first_;
  const std::vector<double> second_;
};

bool looks_like_counter(std::string_view name) {
  return name.empty() || name.ends_with("_total") || name.ends_with("_sum") ||
         name.ends_with("_count") || name.ends_with("_bucket");
}

class CounterStream final : public KernelStream {
 public:
  CounterStream(Context& context, RangePtr source, const RangeFunction& function, SourceRange where)
      : KernelStream(context, std::move(source), function, where, {}, {}) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(KernelStream::read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      if (is_counter(series[i])) continue;
      const std::string_view name = label(series[i], tsdb::kMetricName);
      if (told_.load(std::memory_order_relaxed) == name.data()) continue;
      const double* row = rows + i * grid().count;
      if (std::none_of(row, row + grid().count, is_float)) continue;
      tell(series[i], name);
    }
    return {};
  }

 private:
  /// By its name, or by its type where series have one. What has no name is nobody's concern.
  bool is_counter(std::uint32_t series) const {
    const std::string_view name = label(series, tsdb::kMetricName);
    if (!context().options.type_and_unit_labels) return looks_like_counter(name);
    const std::string_view type = label(series, "__type__");
    return name.empty() || type == "counter" || type == "histogram";
  }
  void tell(std::uint32_t series, std::string_view name) const {
    std::string why = "name does not end in _total/_sum/_count/_bucket";
    if (context().options.type_and_unit_labels) {
      why = "__type__ label is not set to \"counter\" or \"histogram\", got " +
            quote(label(series, "__type__"));
    } else {
      told_.store(name.data(), std::memory_order_relaxed);
    }
    context().annotator.inform("metric might not be a counter, " + why + ": " + quote(name),
                               where());
  }

  mutable std::atomic<const char*> told_{nullptr};  // The last name told about; saves the lock.
};

}  // namespace

RangePtr select_range(Context& context, const Selection& selection, Grid grid,
                      const Windows& windows, Extension extension, HistogramDetail detail) {
  return std::make_unique<SelectedRange>(context, selection, grid, windows, extension, detail);
}

RangePtr subquery_range(const Context& context, StreamPtr inner, Grid grid,
                        const Windows& windows) {
  return std::make_unique<SubqueryRange>(context, std::move(inner), grid, windows);
}

StreamPtr apply_kernel(Context& context, RangePtr source, const RangeFunction& function,
                       SourceRange where, std::vector<double> first, std::vector<double> second) {
  return std::make_unique<KernelStream>(context, std::move(source), function, where,
                                        std::move(first), std::move(second));
}

StreamPtr apply_counter_kernel(Context& context, RangePtr source, const RangeFunction& function,
                               SourceRange where) {
  return std::make_unique<CounterStream>(context, std::move(source), function, where);
}

}  // namespace tarsier::query
