#include "tsdb/mixed_merge.h"

#include <algorithm>

namespace tarsier::tsdb {
namespace {

template <typename T>
void replace(const std::vector<T>& with, std::size_t from, std::vector<T>& column) {
  column.resize(from);
  column.insert(column.end(), with.begin(), with.end());
}

}  // namespace

void MixedMerge::add_source() {
  const Ends begin = sources_.empty() ? first_ : sources_.back();
  sources_.push_back(ends());
  if (sources_.back() == begin) {
    sources_.pop_back();
    return;
  }
  std::int64_t oldest = INT64_MAX;
  if (floats_.size() > begin.floats) oldest = floats_.times_ms[begin.floats];
  if (histograms_.size() > begin.histograms) {
    oldest = std::min(oldest, histograms_.times_ms[begin.histograms]);
  }
  overlaps_ |= sources_.size() > 1 && oldest <= newest_;
  if (floats_.size() > begin.floats) newest_ = std::max(newest_, floats_.times_ms.back());
  if (histograms_.size() > begin.histograms) {
    newest_ = std::max(newest_, histograms_.times_ms.back());
  }
}

void MixedMerge::finish() {
  if (!overlaps_) return;
  std::vector<Row> rows = sorted_rows();
  const HistogramColumns& from = histograms_;
  SampleColumns floats;
  HistogramColumns kept;
  const Row* before = nullptr;
  for (const Row& row : rows) {
    if (before != nullptr && before->t == row.t) continue;
    if (!row.is_histogram) {
      floats.push_back(Timestamp{row.t}, floats_.values[row.index]);
    } else {
      // Only behind the sample it was stored behind does "no reset" still mean something.
      const bool follows = before != nullptr && before->is_histogram &&
                           before->source == row.source && before->index + 1 == row.index;
      const std::size_t i = row.index;
      const bool forgets = !follows && from.hints[i] == CounterResetHint::kNotReset;
      kept.times_ms.push_back(from.times_ms[i]);
      kept.counts.push_back(from.counts[i]);
      kept.zero_counts.push_back(from.zero_counts[i]);
      kept.sums.push_back(from.sums[i]);
      kept.hints.push_back(forgets ? CounterResetHint::kUnknown : from.hints[i]);
      kept.layout.push_back(from.layout[i]);
      kept.first_bucket.push_back(from.first_bucket[i]);
    }
    before = &row;
  }
  replace(floats.times_ms, first_.floats, floats_.times_ms);
  replace(floats.values, first_.floats, floats_.values);
  replace(kept.times_ms, first_.histograms, histograms_.times_ms);
  replace(kept.counts, first_.histograms, histograms_.counts);
  replace(kept.zero_counts, first_.histograms, histograms_.zero_counts);
  replace(kept.sums, first_.histograms, histograms_.sums);
  replace(kept.hints, first_.histograms, histograms_.hints);
  replace(kept.layout, first_.histograms, histograms_.layout);
  replace(kept.first_bucket, first_.histograms, histograms_.first_bucket);
}

std::vector<MixedMerge::Row> MixedMerge::sorted_rows() const {
  std::vector<Row> rows;
  Ends begin = first_;
  for (std::size_t source = 0; source < sources_.size(); ++source) {
    for (std::size_t i = begin.floats; i < sources_[source].floats; ++i) {
      rows.push_back({floats_.times_ms[i], source, i, false});
    }
    for (std::size_t i = begin.histograms; i < sources_[source].histograms; ++i) {
      rows.push_back({histograms_.times_ms[i], source, i, true});
    }
    begin = sources_[source];
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.t != b.t ? a.t < b.t : a.source < b.source;
  });
  return rows;
}

}  // namespace tarsier::tsdb
