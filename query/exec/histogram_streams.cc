#include "query/exec/histogram_streams.h"

#include <atomic>
#include <utility>

#include "query/histogram/arithmetic.h"

namespace tarsier::query {
namespace {

class FloatsStream final : public ForwardingStream {
 public:
  FloatsStream(StreamPtr child, Context* context, std::string info, SourceRange where)
      : ForwardingStream(std::move(child)),
        context_(context),
        info_(std::move(info)),
        where_(where) {}
  bool may_have_histograms() const override { return false; }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const HistogramScope scope(scratch.histograms());
    TRY(child().read(series, rows, scratch));
    bool has_any = false;
    for (std::size_t k = 0; k < series.size() * grid().count; ++k) {
      if (!is_histogram(rows[k])) continue;
      rows[k] = absent_value();
      has_any = true;
    }
    if (has_any && context_ != nullptr && !is_told_.exchange(true, std::memory_order_relaxed)) {
      context_->annotator.inform(info_, where_);
    }
    return {};
  }

 private:
  Context* const context_;  // Null: nobody is told.
  const std::string info_;
  const SourceRange where_;
  mutable std::atomic<bool> is_told_{false};  // Only saves the annotator's lock.
};

class NegatedStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(child().read(series, rows, scratch));
    const std::size_t count = series.size() * grid().count;
    if (!may_have_histograms()) {
      for (std::size_t k = 0; k < count; ++k) rows[k] = is_absent(rows[k]) ? rows[k] : -rows[k];
      return {};
    }
    for (std::size_t k = 0; k < count; ++k) {
      if (is_histogram(rows[k])) {
        tsdb::FloatHistogram& h = scratch.histograms().take();
        assign(h, view_of(histogram_in(rows[k])));
        multiply(h, -1);
        rows[k] = histogram_cell(h);
      } else if (is_present(rows[k])) {
        rows[k] = -rows[k];
      }
    }
    return {};
  }
};

class HistogramNumbersStream final : public ForwardingStream {
 public:
  HistogramNumbersStream(StreamPtr child, HistogramNumber number)
      : ForwardingStream(std::move(child)), number_(number) {}
  bool may_have_histograms() const override { return false; }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    const HistogramScope scope(scratch.histograms());
    TRY(child().read(series, rows, scratch));
    for (std::size_t k = 0; k < series.size() * grid().count; ++k) {
      rows[k] = is_histogram(rows[k]) ? number_(view_of(histogram_in(rows[k]))) : absent_value();
    }
    return {};
  }

 private:
  const HistogramNumber number_;
};

}  // namespace

StreamPtr only_floats(StreamPtr child) {
  if (!child->may_have_histograms()) return child;
  return std::make_unique<FloatsStream>(std::move(child), nullptr, "", SourceRange{});
}

StreamPtr only_floats(Context& context, StreamPtr child, std::string info, SourceRange where) {
  if (!child->may_have_histograms()) return child;
  return std::make_unique<FloatsStream>(std::move(child), &context, std::move(info), where);
}

StreamPtr negated(StreamPtr child) { return std::make_unique<NegatedStream>(std::move(child)); }

StreamPtr histogram_numbers(StreamPtr child, HistogramNumber number) {
  return std::make_unique<HistogramNumbersStream>(std::move(child), number);
}

}  // namespace tarsier::query
