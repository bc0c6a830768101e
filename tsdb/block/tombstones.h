#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

inline constexpr std::string_view kTombstonesFileName = "tombstones";

/// Which time ranges of which series are deleted (FORMAT.md, "tombstones"). Ranges are closed,
/// sorted, and never touch: adding merges. Any number of threads may read.
class Tombstones final {
 public:
  /// REQUIRES: range.min <= range.max.
  void add(std::uint64_t series_ref, TimeRange range);
  /// Forgets what ends before `t`.
  void remove_before(Timestamp t);
  bool empty() const { return by_series_.empty(); }
  std::size_t range_count() const;
  /// The deleted ranges of a series, ascending. The view lives until the next add.
  std::span<const TimeRange> ranges(std::uint64_t series_ref) const;
  const std::map<std::uint64_t, std::vector<TimeRange>>& all() const { return by_series_; }

  /// kCorruption names the offset.
  static Result<Tombstones> decode(Bytes file);
  std::string encode() const;

 private:
  std::map<std::uint64_t, std::vector<TimeRange>> by_series_;
};

/// Reads `<directory>/tombstones`; a missing file means none.
Result<Tombstones> read_tombstones(FileSystem& files, const std::string& directory);

/// Whether everything in `range` is in one of `deleted`.
bool is_deleted(std::span<const TimeRange> deleted, TimeRange range);

/// Removes the samples at positions >= `from` that lie in one of `deleted` (ascending).
void remove_deleted(std::span<const TimeRange> deleted, std::size_t from, SampleColumns& columns);
void remove_deleted(std::span<const TimeRange> deleted, std::size_t from,
                    HistogramColumns& columns);

}  // namespace tarsier::tsdb
