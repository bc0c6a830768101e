#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "query/exec/selection.h"
#include "query/exec/stream.h"
#include "query/functions/extended_kernels.h"
#include "query/functions/mixed_kernels.h"
#include "query/functions/window.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::query {

/// One per sample, or none at all.
struct StartTimes {
  std::vector<std::int64_t> of_floats_ms;
  std::vector<std::int64_t> of_histograms_ms;
};

/// A range vector: for each series one column that covers the windows of all steps. Immutable; any
/// number of threads, each with its own Scratch.
class RangeSource {
 public:
  RangeSource(Grid grid, const Windows& windows, Extension extension = Extension::kNone)
      : grid_(grid), windows_(windows), extension_(extension) {}
  RangeSource(const RangeSource&) = delete;
  RangeSource& operator=(const RangeSource&) = delete;
  virtual ~RangeSource() = default;

  const Grid& grid() const { return grid_; }  ///< The steps the windows belong to.
  const Windows& windows() const { return windows_; }
  Extension extension() const { return extension_; }  ///< Of the selector, if it is one.
  virtual std::size_t size() const = 0;
  virtual tsdb::Labels labels(std::size_t i) const = 0;
  virtual std::string_view label(std::size_t i, std::string_view name) const = 0;
  virtual bool drops_name(std::size_t i) const = 0;
  virtual bool may_have_names() const = 0;
  virtual bool is_distinct_without_names() const = 0;
  /// False only if no series has histograms.
  virtual bool may_have_histograms() const = 0;
  /// Appends the float samples that lie in any window, without stale markers; there may be others
  /// between.
  virtual Status read(std::size_t i, tsdb::SampleColumns& out, Scratch& scratch) const = 0;
  /// The same of both kinds. Asked only if there may be histograms.
  virtual Status read_mixed(std::size_t i, tsdb::SampleColumns& floats,
                            tsdb::HistogramColumns& histograms, Scratch& scratch) const = 0;
  /// Whether samples have start timestamps.
  virtual bool has_start_times() const { return false; }
  /// As read_mixed, with the start timestamp of each sample.
  virtual Status read_with_starts(std::size_t i, tsdb::SampleColumns& floats,
                                  tsdb::HistogramColumns& histograms, StartTimes& /*starts*/,
                                  Scratch& scratch) const {
    return read_mixed(i, floats, histograms, scratch);
  }

 private:
  const Grid grid_;
  const Windows windows_;
  const Extension extension_;
};
using RangePtr = std::unique_ptr<RangeSource>;

RangePtr select_range(Context& context, const Selection& selection, Grid grid,
                      const Windows& windows, Extension extension = Extension::kNone,
                      HistogramDetail detail = HistogramDetail::kAll);
/// The values of `inner` at its own steps as samples.
RangePtr subquery_range(const Context& context, StreamPtr inner, Grid grid, const Windows& windows);

/// A range function: what it does with floats, and with series that have histograms.
struct RangeFunction {
  RangeKernel kernel;
  MixedKernel mixed;
  bool gives_histograms;
  bool uses_start_times = false;
};

/// Applies `function` to every series. `first` and `second` are its arguments, a row each, or
/// empty. What it has to tell points to `where`.
StreamPtr apply_kernel(Context& context, RangePtr source, const RangeFunction& function,
                       SourceRange where, std::vector<double> first = {},
                       std::vector<double> second = {});
/// The same for rate and increase, which tell whoever gives them what does not look like a counter.
StreamPtr apply_counter_kernel(Context& context, RangePtr source, const RangeFunction& function,
                               SourceRange where);

}  // namespace tarsier::query
