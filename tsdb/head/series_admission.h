#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/metric.h"
#include "base/result.h"
#include "tsdb/head/head_postings.h"
#include "tsdb/head/label_pairs.h"
#include "tsdb/labels.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// Decides whether the head may have another series: by their number, by that of one metric, by
/// that of one value of a label (a target, a tenant), and by memory. What is there already is never
/// asked about. A refusal says which limit it was and who is to blame: the metric with most series
/// and the label with most values. check() needs the table's lock; the rest is for any thread.
class SeriesAdmission final {
 public:
  explicit SeriesAdmission(const Options& options);

  /// kLimit with the reason, for a series that is not there yet.
  Status check(const Labels& labels, const LabelPairs& pairs, const HeadPostings& postings,
               std::size_t series_count);

  /// What the head holds, as far as its owner knows by now.
  void set_head_bytes(std::size_t bytes) { head_bytes_.store(bytes, std::memory_order_relaxed); }
  std::size_t head_bytes() const { return head_bytes_.load(std::memory_order_relaxed); }
  std::size_t head_bytes_max() const { return head_bytes_max_; }
  /// Whether the process as a whole has used up its memory.
  void set_memory_is_full(bool is_full) {
    memory_is_full_.store(is_full, std::memory_order_relaxed);
  }

  void collect(MetricWriter& out) const;

 private:
  struct Blame {
    std::string metric;
    std::size_t series_count = 0;
    std::string label;
    std::size_t value_count = 0;
  };

  Status refuse(std::string reason, Counter& counter, const Labels& labels, const LabelPairs& pairs,
                const HeadPostings& postings);
  void find_blame(const LabelPairs& pairs, const HeadPostings& postings);

  const std::size_t series_max_;
  const std::size_t metric_series_max_;
  const std::vector<LabelSeriesLimit> label_series_max_;
  const std::size_t head_bytes_max_;
  std::atomic<std::size_t> head_bytes_{0};
  std::atomic<bool> memory_is_full_{false};

  // Who is to blame is looked up again after about as many refusals as it costs steps.
  Blame blame_;
  std::size_t refusals_until_blame_ = 0;

  Counter refused_by_head_;
  Counter refused_by_metric_;
  Counter refused_by_label_;
  Counter refused_by_memory_;
};

}  // namespace tarsier::tsdb
