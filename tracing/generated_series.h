#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/latency_histogram.h"
#include "tracing/trace_id.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"

namespace tarsier::tracing {

/// What each row of a table becomes in storage.
struct SeriesForm {
  struct Histogram {
    std::string name;  ///< Without `_bucket`, which classic series get; native ones do not.
    LatencyBuckets buckets;
  };
  std::vector<std::string> counters;
  std::vector<Histogram> histograms;
  /// Series one row takes.
  std::size_t series_per_row() const;
};

/// One observation a row shows for its first histogram.
struct RowExemplar {
  TraceId trace_id;
  double value = 0;
  Timestamp t;
};

/// The counters and histograms under one set of labels.
struct SeriesRow {
  std::vector<double> counters;
  std::vector<LatencyHistogram> histograms;
  Timestamp updated;
  Timestamp exemplar_due{0};            ///< No other exemplar is looked for before.
  std::optional<RowExemplar> exemplar;  ///< Not written yet.
};

/// Counters and histograms computed from spans, by their labels, and the way they take into
/// storage: every row is written at each write(), as if it were scraped, a new one with a zero
/// before it (so that a rate sees its first increase), one that rests for long with stale markers,
/// after which it is forgotten. Rows are found by the keyed hash of whatever bytes the owner builds
/// a key from. update() and create() are for any number of threads, write() for one at a time.
class GeneratedSeries final {
 public:
  struct Options {
    SeriesForm form;
    std::size_t rows_max = 5000;  ///< create() refuses more.
    Duration stale_after = minutes(15);
    std::string exemplar_label = "trace_id";
  };
  enum class Creation : unsigned char { kCreated, kExists, kFull };
  enum class Bound : unsigned char { kKeep, kExceed };

  /// `now`: before which everything was zero.
  GeneratedSeries(Options options, Timestamp now);
  ~GeneratedSeries();

  /// Calls `apply(SeriesRow&)` under the row's lock; false if there is no such row.
  template <typename Apply>
  bool update(const Hash128& key, Timestamp now, Apply apply) {
    Shard& shard = shard_of(key);
    const MutexLock lock(shard.mutex);
    const auto found = shard.rows.find(key);
    if (found == shard.rows.end()) return false;
    found->second->row.updated = now;
    apply(found->second->row);
    return true;
  }

  /// Makes the row of `key`. `labels` have no metric name. `bound`: whether rows_max counts; the
  /// rows for what is beyond it must find room.
  Creation create(const Hash128& key, tsdb::Labels labels, Timestamp now,
                  Bound bound = Bound::kKeep);

  /// Queues everything as of `now`, and forgets what has rested; `forgotten` is told its labels.
  /// The caller commits. Series that storage refuses are counted and tried again next time.
  void write(tsdb::Appender& appender, Timestamp now,
             const std::function<void(const tsdb::Labels&)>& forgotten = {});

  std::size_t row_count() const { return row_count_.load(std::memory_order_relaxed); }
  std::uint64_t refused_count() const { return refused_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    explicit Entry(const SeriesForm& form, tsdb::Labels l, Timestamp now);
    SeriesRow row;
    const tsdb::Labels labels;
    // Of write() alone, which needs no lock for them.
    std::vector<tsdb::SeriesRef> refs;
    bool is_written = false;
  };
  struct HashOfHash {
    std::size_t operator()(const Hash128& h) const { return static_cast<std::size_t>(h.high); }
  };
  struct Shard {
    Mutex mutex;
    std::unordered_map<Hash128, std::unique_ptr<Entry>, HashOfHash> rows GUARDED_BY(mutex);
  };
  struct Pending;

  Shard& shard_of(const Hash128& key) { return shards_[key.low % shards_.size()]; }
  void gather(Shard& shard, Timestamp now, std::vector<Pending>& out);
  void write_row(tsdb::Appender& appender, Pending& pending, Timestamp now);
  void write_value(tsdb::Appender& appender, Entry& entry, std::size_t column, double v,
                   bool is_new, Timestamp now);
  void write_native(tsdb::Appender& appender, Entry& entry, std::size_t column,
                    tsdb::FloatHistogram histogram, bool is_new, Timestamp now);
  bool resolve(tsdb::Appender& appender, Entry& entry, std::size_t column);
  tsdb::Labels labels_of(const Entry& entry, std::size_t column) const;

  const Options options_;
  struct Column {
    std::string name;
    std::string le;
  };
  std::vector<Column> columns_;
  std::array<Shard, 16> shards_;
  std::atomic<std::size_t> row_count_{0};
  std::atomic<std::uint64_t> refused_{0};
  Timestamp written_;  // Of write() alone.
};

}  // namespace tarsier::tracing
