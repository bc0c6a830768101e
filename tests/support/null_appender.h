#pragma once

#include <algorithm>
#include <cstdint>

#include "tsdb/appender.h"

namespace tarsier::testing {

/// Takes everything and keeps nothing: for measuring what happens before storage.
class NullAppender final : public tsdb::Appender {
 public:
  /// `next_series` numbers the series that are asked for.
  explicit NullAppender(std::uint64_t& next_series) : next_series_(next_series) {}
  Result<tsdb::SeriesRef> resolve(const tsdb::Labels&) override {
    return tsdb::SeriesRef{next_series_++};
  }
  tsdb::AppendOutcome append(tsdb::SeriesRef, tsdb::Sample) override {
    return tsdb::AppendOutcome::kAppended;
  }
  void append_batch(std::span<const tsdb::SeriesRef>, std::span<const tsdb::Sample>,
                    std::span<tsdb::AppendOutcome> outcomes) override {
    std::fill(outcomes.begin(), outcomes.end(), tsdb::AppendOutcome::kAppended);
  }
  tsdb::AppendOutcome append_histogram(tsdb::SeriesRef, Timestamp,
                                       tsdb::IntegerHistogram) override {
    return tsdb::AppendOutcome::kAppended;
  }
  tsdb::AppendOutcome append_float_histogram(tsdb::SeriesRef, Timestamp,
                                             tsdb::FloatHistogram) override {
    return tsdb::AppendOutcome::kAppended;
  }
  tsdb::AppendOutcome append_exemplar(tsdb::SeriesRef, const tsdb::Exemplar&) override {
    return tsdb::AppendOutcome::kAppended;
  }
  void set_metadata(tsdb::SeriesRef, const tsdb::Metadata&) override {}
  tsdb::Labels labels_of(tsdb::SeriesRef) const override { return {}; }
  Result<tsdb::LogPosition> commit() override { return tsdb::LogPosition{}; }
  void rollback() override {}

 private:
  std::uint64_t& next_series_;
};

}  // namespace tarsier::testing
