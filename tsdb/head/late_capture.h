#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/compaction/sample_encoder.h"
#include "tsdb/head/out_of_order.h"
#include "tsdb/mixed_merge.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// The late samples of one selection, as they were at its moment. Chunks never change; the arrays
/// do, and are copied.
struct LateCapture {
  struct Part {
    std::uint32_t index;  ///< Of the series in the selection.
    std::uint32_t begin;  ///< In samples.
    std::uint32_t count;
    std::uint32_t histograms_begin;
    std::uint32_t histogram_count;
    bool has_histograms;  ///< Perhaps in chunks only.
    const SealedChunk* newest;
  };
  std::vector<std::shared_ptr<const LateEpoch>> epochs;  ///< What the parts point into.
  std::vector<Part> parts;                               ///< By index; of one, by epoch.
  std::vector<Sample> samples;
  std::vector<LateHistogram> histograms;

  std::span<const Part> of(std::size_t index) const;
  bool has_histograms(std::size_t index) const;
  std::span<const Sample> open(const Part& part) const {
    return std::span(samples).subspan(part.begin, part.count);
  }
  std::span<const LateHistogram> open_histograms(const Part& part) const {
    return std::span(histograms).subspan(part.histograms_begin, part.histogram_count);
  }
};

// What chunks and arrays have within a range. Where two samples have the same time the one that
// came first stays.

/// Appends the floats, in order of time. Right for series without histograms only: a float may have
/// the time of a histogram that came before it.
Status read_late(const SealedChunk* newest, std::span<const Sample> open, TimeRange range,
                 SampleColumns& out);
/// Appends to the columns, and tells `merge`, chunk by chunk.
Status read_late(const LateCapture& late, const LateCapture::Part& part, TimeRange range,
                 SampleColumns& floats, HistogramColumns& histograms, MixedMerge& merge);
/// Merges into `out`, which is in order of time.
Status read_late(const SealedChunk* newest, std::span<const Sample> open,
                 std::span<const LateHistogram> open_histograms, TimeRange range,
                 std::vector<AnySample>& out);

/// Merges the samples from `from` on, which are in order, into those from `begin` on before them.
/// Where both have a sample of one time the former's goes.
void merge_columns(std::size_t begin, std::size_t from, SampleColumns& columns);

}  // namespace tarsier::tsdb
