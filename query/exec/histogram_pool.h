#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "query/exec/row.h"
#include "query/histogram/view.h"
#include "tsdb/histogram.h"

namespace tarsier::query {

/// The histograms that cells of rows refer to. A stack: whoever reads rows opens a
/// `HistogramScope`, and what was taken since goes back when it ends, with its memory, to be taken
/// again: in the long run no histogram costs an allocation. One thread at a time.
class HistogramPool final {
 public:
  /// One of unknown content; its address stays.
  tsdb::FloatHistogram& take() {
    if (used_ == histograms_.size()) {
      histograms_.push_back(std::make_unique<tsdb::FloatHistogram>());
    }
    return *histograms_[used_++];
  }
  /// The cell of a copy.
  double keep(const HistogramView& h) {
    tsdb::FloatHistogram& copy = take();
    assign(copy, h);
    return histogram_cell(copy);
  }
  /// The same value, independent of where it came from.
  double keep(double v) { return is_histogram(v) ? keep(view_of(histogram_in(v))) : v; }
  std::size_t size() const { return used_; }

 private:
  friend class HistogramScope;
  std::vector<std::unique_ptr<tsdb::FloatHistogram>> histograms_;
  std::size_t used_ = 0;
};

/// Gives back at its end what was taken since its begin.
class HistogramScope final {
 public:
  explicit HistogramScope(HistogramPool& pool) : pool_(pool), used_(pool.used_) {}
  ~HistogramScope() { pool_.used_ = used_; }
  HistogramScope(const HistogramScope&) = delete;
  HistogramScope& operator=(const HistogramScope&) = delete;

 private:
  HistogramPool& pool_;
  const std::size_t used_;
};

/// Keeps alive what the cells of a table refer to.
using HistogramOwner = std::shared_ptr<const void>;

/// What a histogram counts for against the limit on samples: one for this many bytes.
inline constexpr std::uint64_t kSampleWeightBytes = 16;
inline std::uint64_t sample_weight(const HistogramView& h) {
  const std::size_t bytes =
      168 + 8 * (h.layout->positive_spans.size() + h.layout->negative_spans.size() +
                 h.positive.size() + h.negative.size() + h.layout->custom_bounds.size());
  return (bytes + 8) / kSampleWeightBytes;
}
/// The same of a cell.
inline std::uint64_t sample_weight(double v) {
  return is_histogram(v) ? sample_weight(view_of(histogram_in(v))) : is_present(v) ? 1 : 0;
}

}  // namespace tarsier::query
