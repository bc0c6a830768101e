#pragma once

#include <memory>
#include <span>

#include "tsdb/appender.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {

/// The appender of a head. Judges samples when they are queued, without a lock; the commit, under
/// the commit lock, drops what no longer fits because another appender was faster.
class HeadAppender final : public Appender {
 public:
  explicit HeadAppender(Head& head);

  Result<SeriesRef> resolve(const Labels& labels) override;
  AppendOutcome append(SeriesRef series, Sample sample) override;
  void append_batch(std::span<const SeriesRef> series, std::span<const Sample> samples,
                    std::span<AppendOutcome> outcomes) override;
  void set_metadata(SeriesRef series, const Metadata& metadata) override;
  Labels labels_of(SeriesRef series) const override;
  Result<LogPosition> commit() override;
  std::span<const LateRefusal> refused_at_commit() const override { return batch_.refused; }
  void rollback() override;

 private:
  void clear();
  AppendOutcome queue(Slot slot, SeriesRef series, Sample sample);

  Head& head_;
  // Read before the generation is taken: a removal in between is seen at the commit.
  const std::uint64_t removal_count_;
  // Keeps slots and labels of series that a truncation removes meanwhile.
  const std::shared_ptr<const HeadGeneration> generation_;
  const std::int64_t bound_;
  HeadBatch batch_;
  bool has_ignored_ = false;  // Something queued was there already.
};

}  // namespace tarsier::tsdb
