#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tsdb/querier.h"

namespace tarsier::testing {

/// The obvious storage: a table of series in memory. What query tests run against.
class TableStorage final : public tsdb::Queryable {
 public:
  /// Keeps times in order; a second sample at the same time replaces the first.
  void add(const tsdb::Labels& labels, Timestamp t, double v) { series_[labels][t.ms] = v; }
  void clear() { series_.clear(); }

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override;

 private:
  std::map<tsdb::Labels, std::map<std::int64_t, double>> series_;
};

}  // namespace tarsier::testing
