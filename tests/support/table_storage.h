#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tsdb/querier.h"

namespace tarsier::testing {

/// The obvious storage: a table of series in memory. What query tests run against.
class TableStorage final : public tsdb::Queryable {
 public:
  /// Keeps times in order; a second sample at the same time replaces the first.
  void add(const tsdb::Labels& labels, Timestamp t, double v) { series_[labels][t.ms] = v; }
  void add_histogram(const tsdb::Labels& labels, Timestamp t, tsdb::FloatHistogram histogram) {
    series_[labels][t.ms] = std::move(histogram);
  }
  /// Of the sample at `t`.
  void set_start_time(const tsdb::Labels& labels, Timestamp t, Timestamp start) {
    starts_[labels][t.ms] = start.ms;
  }
  void clear() {
    series_.clear();
    starts_.clear();
  }

  /// What was recorded at one moment.
  using Value = std::variant<double, tsdb::FloatHistogram>;
  using Samples = std::map<std::int64_t, Value>;

  const std::map<tsdb::Labels, Samples>& series() const { return series_; }
  void remove(const tsdb::Labels& labels, Timestamp t) { series_[labels].erase(t.ms); }

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override;

  /// Start timestamps by the time of their sample.
  using Starts = std::map<std::int64_t, std::int64_t>;

 private:
  std::map<tsdb::Labels, Samples> series_;
  std::map<tsdb::Labels, Starts> starts_;
};

}  // namespace tarsier::testing
