#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tsdb/appender.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {

/// Appended, with whether that will be in order; or why not.
struct Verdict {
  AppendOutcome outcome;
  bool is_late = false;
};
/// Of a histogram the sample's value is its fingerprint. A `late_bound` of INT64_MAX: nothing goes
/// in out of order.
Verdict judge(Sample sample, Sample newest, std::int64_t bound, std::int64_t late_bound);

/// The appender of a head. Judges samples when they are queued, without a lock; the commit, under
/// the commit lock, drops what no longer fits because another appender was faster.
class HeadAppender final : public Appender {
 public:
  explicit HeadAppender(Head& head);
  ~HeadAppender() override;

  Result<SeriesRef> resolve(const Labels& labels) override;
  AppendOutcome append(SeriesRef series, Sample sample) override;
  void append_batch(std::span<const SeriesRef> series, std::span<const Sample> samples,
                    std::span<AppendOutcome> outcomes) override;
  AppendOutcome append_histogram(SeriesRef series, Timestamp t,
                                 IntegerHistogram histogram) override;
  AppendOutcome append_float_histogram(SeriesRef series, Timestamp t,
                                       FloatHistogram histogram) override;
  AppendOutcome append_exemplar(SeriesRef series, const Exemplar& exemplar) override;
  void set_metadata(SeriesRef series, const Metadata& metadata) override;
  Labels labels_of(SeriesRef series) const override;
  Result<LogPosition> commit() override;
  std::span<const LateRefusal> refused_at_commit() const override { return batch_.refused; }
  void rollback() override;
  void refuse_out_of_order() override { late_bound_ = INT64_MAX; }

 private:
  void clear();
  AppendOutcome queue(Slot slot, SeriesRef series, Sample sample);
  AppendOutcome queue(Slot slot, SeriesRef series, Timestamp t, AnyHistogram histogram);
  /// A stale marker behind a histogram is a histogram, too. No value if the series' newest is none.
  std::optional<AppendOutcome> queue_stale(Slot slot, SeriesRef series, Timestamp t,
                                           std::uint32_t mark);
  void begin_run_if(bool is_other_kind);

  /// In a record's batch mark: the series' last sample in this batch is a histogram.
  static constexpr std::uint32_t kHistogramInBatch = std::uint32_t{1} << 31;
  struct QueuedHistogram {
    Timestamp t;
    std::uint64_t print;
    RecordType type;
    Head::HistogramKind kind;
  };
  /// Null if the series' last sample in this batch is no histogram, or if it has none.
  const QueuedHistogram* queued_histogram(Slot slot, std::uint32_t mark) const;

  Head& head_;
  // Read before the generation is taken: a removal in between is seen at the commit.
  const std::uint64_t removal_count_;
  // Keeps slots and labels of series that a truncation removes meanwhile.
  const std::shared_ptr<const HeadGeneration> generation_;
  const std::int64_t bound_;
  std::int64_t late_bound_;  // INT64_MAX: nothing goes in out of order.
  HeadBatch batch_;
  std::vector<QueuedHistogram> queued_;  // What is known of batch_.histograms.
  bool has_ignored_ = false;             // Something queued was there already.
};

}  // namespace tarsier::tsdb
