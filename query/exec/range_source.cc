#include "query/exec/range_source.h"

#include <algorithm>
#include <atomic>

#include "base/quote.h"

namespace tarsier::query {
namespace {

void remove_stale_markers(tsdb::SampleColumns& columns) {
  const auto first =
      std::find_if(columns.values.begin(), columns.values.end(), tsdb::is_stale_marker);
  if (first == columns.values.end()) return;
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
                Extension extension)
      : RangeSource(grid, windows, extension),
        context_(context),
        selection_(selection),
        set_(*selection.set) {}
  std::size_t size() const override { return set_.size(); }
  tsdb::Labels labels(std::size_t i) const override { return set_.labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return set_.label(i, name);
  }
  bool drops_name(std::size_t) const override { return false; }
  bool may_have_names() const override { return true; }
  bool is_distinct_without_names() const override { return selection_.has_one_name(); }
  Status read(std::size_t i, tsdb::SampleColumns& out, Scratch&) const override {
    if (windows().count == 0 || windows().range_ms <= 0) return {};
    TRY(set_.read(i,
                  TimeRange{Timestamp{windows().start_ms(0) - windows().before_ms + 1},
                            Timestamp{windows().end_ms(windows().count - 1) + windows().after_ms}},
                  out));
    context_.samples_read.fetch_add(out.size(), std::memory_order_relaxed);
    TRY(context_.budget.hold(out.size()));
    context_.budget.release(out.size());
    remove_stale_markers(out);
    if (context_.step_counter) context_.step_counter->add_windows(out.times_ms, windows(), grid());
    return {};
  }

 private:
  Context& context_;
  const Selection& selection_;
  const tsdb::SeriesSet& set_;
};

class SubqueryRange final : public RangeSource {
 public:
  SubqueryRange(StreamPtr inner, Grid grid, const Windows& windows)
      : RangeSource(grid, windows), inner_(std::move(inner)) {}
  std::size_t size() const override { return inner_->size(); }
  tsdb::Labels labels(std::size_t i) const override { return inner_->labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return inner_->label(i, name);
  }
  bool drops_name(std::size_t i) const override { return inner_->drops_name(i); }
  bool may_have_names() const override { return inner_->may_have_names(); }
  bool is_distinct_without_names() const override { return inner_->is_distinct_without_names(); }
  Status read(std::size_t i, tsdb::SampleColumns& out, Scratch& scratch) const override {
    const Grid& inside = inner_->grid();
    auto row = scratch.doubles(inside.count);
    const std::uint32_t series[] = {static_cast<std::uint32_t>(i)};
    TRY(inner_->read(series, row->data(), scratch));
    for (std::size_t k = 0; k < inside.count; ++k) {
      if (is_present((*row)[k])) out.push_back(Timestamp{inside.time_ms(k)}, (*row)[k]);
    }
    return {};
  }

 private:
  const StreamPtr inner_;
};

class KernelStream : public VectorStream {
 public:
  KernelStream(RangePtr source, RangeKernel kernel, std::vector<double> first,
               std::vector<double> second)
      : VectorStream(source->grid()),
        source_(std::move(source)),
        kernel_(kernel),
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
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const KernelArguments arguments{first_.empty() ? nullptr : first_.data(),
                                    second_.empty() ? nullptr : second_.data(), grid()};
    auto columns = scratch.columns();
    for (std::size_t i = 0; i < series.size(); ++i) {
      columns->clear();
      TRY(source_->read(series[i], *columns, scratch));
      kernel_(Column{columns->times_ms, columns->values}, source_->windows(), arguments,
              rows + i * grid().count);
    }
    return {};
  }

 private:
  const RangePtr source_;
  const RangeKernel kernel_;
  const std::vector<double> first_;
  const std::vector<double> second_;
};

bool looks_like_counter(std::string_view name) {
  return name.empty() || name.ends_with("_total") || name.ends_with("_sum") ||
         name.ends_with("_count") || name.ends_with("_bucket");
}

class CounterStream final : public KernelStream {
 public:
  CounterStream(Context& context, RangePtr source, RangeKernel kernel, SourceRange where)
      : KernelStream(std::move(source), kernel, {}, {}), context_(context), where_(where) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(KernelStream::read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      const std::string_view name = label(series[i], tsdb::kMetricName);
      if (looks_like_counter(name)) continue;
      if (told_.load(std::memory_order_relaxed) == name.data()) continue;
      const double* row = rows + i * grid().count;
      if (std::none_of(row, row + grid().count, is_present)) continue;
      told_.store(name.data(), std::memory_order_relaxed);
      context_.annotator.inform(
          "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " +
              quote(name),
          where_);
    }
    return {};
  }

 private:
  Context& context_;
  const SourceRange where_;
  mutable std::atomic<const char*> told_{nullptr};  // The last name told about; saves the lock.
};

}  // namespace

RangePtr select_range(Context& context, const Selection& selection, Grid grid,
                      const Windows& windows, Extension extension) {
  return std::make_unique<SelectedRange>(context, selection, grid, windows, extension);
}

RangePtr subquery_range(StreamPtr inner, Grid grid, const Windows& windows) {
  return std::make_unique<SubqueryRange>(std::move(inner), grid, windows);
}

StreamPtr apply_kernel(RangePtr source, RangeKernel kernel, std::vector<double> first,
                       std::vector<double> second) {
  return std::make_unique<KernelStream>(std::move(source), kernel, std::move(first),
                                        std::move(second));
}

StreamPtr apply_counter_kernel(Context& context, RangePtr source, RangeKernel kernel,
                               SourceRange where) {
  return std::make_unique<CounterStream>(context, std::move(source), kernel, where);
}

}  // namespace tarsier::query
