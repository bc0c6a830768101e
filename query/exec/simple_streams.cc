#include "query/exec/simple_streams.h"

#include <memory>
#include <utility>

namespace tarsier::query {
namespace {

class ElementStream final : public ForwardingStream {
 public:
  ElementStream(StreamPtr child, ElementKernel kernel, std::vector<double> first,
                std::vector<double> second)
      : ForwardingStream(std::move(child)),
        kernel_(kernel),
        first_(std::move(first)),
        second_(std::move(second)) {}
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(child().read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      kernel_(rows + i * grid().count, grid().count, first_.empty() ? nullptr : first_.data(),
              second_.empty() ? nullptr : second_.data());
    }
    return {};
  }

 private:
  const ElementKernel kernel_;
  const std::vector<double> first_;
  const std::vector<double> second_;
};

class StepTimeStream final : public ForwardingStream {
 public:
  using ForwardingStream::ForwardingStream;
  bool may_have_histograms() const override { return false; }
  Status read(std::span<const std::uint32_t> series, double* rows,
              Scratch& scratch) const override {
    TRY(child().read(series, rows, scratch));
    for (std::size_t i = 0; i < series.size(); ++i) {
      for (std::size_t k = 0; k < grid().count; ++k) {
        double& v = rows[i * grid().count + k];
        if (is_present(v)) v = static_cast<double>(grid().time_ms(k)) / 1000;
      }
    }
    return {};
  }
};

class EmptyStream final : public VectorStream {
 public:
  using VectorStream::VectorStream;
  std::size_t size() const override { return 0; }
  tsdb::Labels labels(std::size_t) const override { return {}; }
  std::string_view label(std::size_t, std::string_view) const override { return {}; }
  bool may_have_names() const override { return false; }
  bool is_distinct_without_names() const override { return true; }
  bool may_have_histograms() const override { return false; }
  Status read(std::span<const std::uint32_t>, double*, Scratch&) const override { return {}; }
};

}  // namespace

StreamPtr apply_to_elements(StreamPtr child, ElementKernel kernel, std::vector<double> first,
                            std::vector<double> second) {
  return std::make_unique<ElementStream>(std::move(child), kernel, std::move(first),
                                         std::move(second));
}

StreamPtr step_times(StreamPtr child) { return std::make_unique<StepTimeStream>(std::move(child)); }

StreamPtr no_series(Grid grid) { return std::make_unique<EmptyStream>(grid); }

}  // namespace tarsier::query
