#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// Samples of both kinds of one series from several sources, on their way into one order. The
/// caller appends a source's samples, which are in order and at different times, to the columns,
/// and tells so. What the columns held before the first stays untouched.
class MixedMerge final {
 public:
  MixedMerge(SampleColumns& floats, HistogramColumns& histograms)
      : floats_(floats), histograms_(histograms), first_(ends()) {}

  /// To be called when another source has appended.
  void add_source();
  /// Brings everything in order; of samples at one time the earlier source's stays.
  void finish();

 private:
  struct Ends {
    std::size_t floats;
    std::size_t histograms;
    bool operator==(const Ends&) const = default;
  };
  struct Row {
    std::int64_t t;
    std::size_t source;
    std::size_t index;
    bool is_histogram;
  };

  Ends ends() const { return {floats_.size(), histograms_.size()}; }
  std::vector<Row> sorted_rows() const;

  SampleColumns& floats_;
  HistogramColumns& histograms_;
  const Ends first_;
  std::vector<Ends> sources_;  // Where each source's samples end.
  std::int64_t newest_ = INT64_MIN;
  bool overlaps_ = false;
};

}  // namespace tarsier::tsdb
