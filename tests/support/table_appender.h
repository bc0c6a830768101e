#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tsdb/appender.h"

namespace tarsier::testing {

/// The obvious head: a table of series in memory, for tests of whoever appends. Its rules are
/// Prometheus' without an out-of-order window, its durability whatever the test says. One thread.
class TableHead final {
 public:
  struct Series {
    tsdb::Labels labels;
    std::vector<tsdb::Sample> samples;
    std::vector<std::pair<Timestamp, tsdb::AnyHistogram>> histograms;
    std::vector<tsdb::Exemplar> exemplars;
    tsdb::Metadata metadata;
  };

  std::unique_ptr<tsdb::Appender> appender();
  /// As Db::when_synced, by `sync_status`; held back while `hold_syncs`.
  void when_synced(tsdb::LogPosition position, std::function<void(Status)> done);
  void release_syncs();

  /// Forgets a series: its number is unknown from now on.
  void drop(const tsdb::Labels& labels);
  void drop_all();
  /// Null if there is none.
  const Series* find(const tsdb::Labels& labels) const;
  std::size_t series_count() const { return series_.size(); }
  std::size_t sample_count() const;

  // What the next calls meet.
  Timestamp oldest_allowed = kMinTimestamp;
  std::size_t series_max = 1'000'000;
  Status resolve_status;
  Status commit_status;
  Status sync_status;
  bool hold_syncs = false;
  /// Called once, at the begin of the next commit: what another appender does just then.
  std::function<void()> before_commit;

  std::size_t resolve_count = 0;
  std::size_t commit_count = 0;
  tsdb::LogPosition last_waited;

 private:
  friend class TableAppender;

  std::map<std::uint64_t, Series> series_;
  std::map<tsdb::Labels, std::uint64_t> numbers_;
  std::uint64_t next_number_ = 1;
  std::vector<std::function<void(Status)>> held_;
};

}  // namespace tarsier::testing
