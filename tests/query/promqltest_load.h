#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tests/query/series_notation.h"
#include "tests/support/table_storage.h"

namespace tarsier::testing {

/// What the `load` commands of a script gave, as a storage shows it: a histogram's counter reset
/// hint depends on what came before it.
class LoadedSeries final {
 public:
  void clear() {
    series_.clear();
    starts_.clear();
  }
  /// The items of a line `series@st`: `_`, `_xN`, `-1m`, `-1mxN`, `-30s-1mxN`, each relative to the
  /// time of its sample.
  Status add_start_times(const tsdb::Labels& labels, std::string_view items, Duration step);
  bool has_start_times() const { return !starts_.empty(); }
  void add(const tsdb::Labels& labels, Timestamp t, double v) { series_[labels][t.ms] = v; }
  void add(const tsdb::Labels& labels, Timestamp t, tsdb::FloatHistogram h) {
    series_[labels][t.ms] = std::move(h);
  }
  /// load_with_nhcb: a histogram with custom buckets for each classic one among `lines`.
  Status add_custom_histograms(const std::vector<SeriesLine>& lines, Duration step);
  /// Everything, over what `storage` has of it.
  void store(TableStorage& storage) const;

 private:
  using Value = std::variant<double, tsdb::FloatHistogram>;
  std::map<tsdb::Labels, std::map<std::int64_t, Value>> series_;
  std::map<tsdb::Labels, std::map<std::int64_t, std::int64_t>> starts_;
};

}  // namespace tarsier::testing
