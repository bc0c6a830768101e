#include "query/exec/analysis.h"

#include <algorithm>
#include <utility>

namespace tarsier::query {
namespace {

void add_time(const Context& context, OperatorFigures& figures, double begun) {
  const double seconds = std::max(0.0, context.elapsed_seconds() - begun);
  figures.nanoseconds.fetch_add(static_cast<std::uint64_t>(seconds * 1e9),
                                std::memory_order_relaxed);
}

class MeasuredStream final : public ForwardingStream {
 public:
  MeasuredStream(const Context& context, OperatorFigures& figures, StreamPtr child)
      : ForwardingStream(std::move(child)), context_(context), figures_(figures) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const double begun = context_.elapsed_seconds();
    TRY(child().read(series, rows, scratch));
    add_time(context_, figures_, begun);
    const std::size_t count = series.size() * grid().count;
    figures_.rows.fetch_add(series.size(), std::memory_order_relaxed);
    figures_.samples.fetch_add(
        static_cast<std::uint64_t>(std::count_if(rows, rows + count, is_present)),
        std::memory_order_relaxed);
    return {};
  }

 private:
  const Context& context_;
  OperatorFigures& figures_;
};

class MeasuredRange final : public RangeSource {
 public:
  MeasuredRange(const Context& context, OperatorFigures& figures, RangePtr child)
      : RangeSource(child->grid(), child->windows(), child->extension()),
        context_(context),
        figures_(figures),
        child_(std::move(child)) {}
  std::size_t size() const override { return child_->size(); }
  tsdb::Labels labels(std::size_t i) const override { return child_->labels(i); }
  std::string_view label(std::size_t i, std::string_view name) const override {
    return child_->label(i, name);
  }
  bool drops_name(std::size_t i) const override { return child_->drops_name(i); }
  bool may_have_names() const override { return child_->may_have_names(); }
  bool is_distinct_without_names() const override { return child_->is_distinct_without_names(); }
  bool may_have_histograms() const override { return child_->may_have_histograms(); }
  Status read(std::size_t i, tsdb::SampleColumns& out, Scratch& scratch) const override {
    const double begun = context_.elapsed_seconds();
    TRY(child_->read(i, out, scratch));
    count(begun, out.size());
    return {};
  }
  Status read_mixed(std::size_t i, tsdb::SampleColumns& floats, tsdb::HistogramColumns& histograms,
                    Scratch& scratch) const override {
    const double begun = context_.elapsed_seconds();
    TRY(child_->read_mixed(i, floats, histograms, scratch));
    count(begun, floats.size() + histograms.size());
    return {};
  }
  bool has_start_times() const override { return child_->has_start_times(); }
  Status read_with_starts(std::size_t i, tsdb::SampleColumns& floats,
                          tsdb::HistogramColumns& histograms, StartTimes& starts,
                          Scratch& scratch) const override {
    const double begun = context_.elapsed_seconds();
    TRY(child_->read_with_starts(i, floats, histograms, starts, scratch));
    count(begun, floats.size() + histograms.size());
    return {};
  }

 private:
  void count(double begun, std::size_t samples) const {
    add_time(context_, figures_, begun);
    figures_.rows.fetch_add(1, std::memory_order_relaxed);
    figures_.samples.fetch_add(samples, std::memory_order_relaxed);
  }
  const Context& context_;
  OperatorFigures& figures_;
  const RangePtr child_;
};

}  // namespace

void Analysis::add(const Expr& e) {
  figures_[&e];
  for (const Expr* child : children_of(e)) add(*child);
}

StreamPtr measured(const Context& context, OperatorFigures& figures, StreamPtr stream) {
  figures.series.store(stream->size(), std::memory_order_relaxed);
  return std::make_unique<MeasuredStream>(context, figures, std::move(stream));
}

RangePtr measured(const Context& context, OperatorFigures& figures, RangePtr source) {
  figures.series.store(source->size(), std::memory_order_relaxed);
  return std::make_unique<MeasuredRange>(context, figures, std::move(source));
}

OperatorTimer::OperatorTimer(const Context& context, OperatorFigures& figures)
    : context_(context),
      figures_(figures),
      begun_(context.elapsed_seconds()),
      held_(context.memory.held()) {}

OperatorTimer::~OperatorTimer() {
  add_time(context_, figures_, begun_);
  const std::uint64_t held = context_.memory.held();
  figures_.memory_bytes.store(held > held_ ? held - held_ : 0, std::memory_order_relaxed);
}

}  // namespace tarsier::query
