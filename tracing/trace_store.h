#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/kept_trace.h"
#include "tracing/trace_id.h"

namespace tarsier::tracing {

struct TraceStoreOptions {
  // What changes behaviour.
  /// Age of the newest trace at which a block is removed: two weeks, as Tempo. 0 keeps all.
  Duration retention = days(14);
  /// Bytes of all blocks beyond which the oldest are removed; 0 is no limit.
  std::uint64_t max_bytes = 0;

  // What changes cost.
  /// Rows of a group: the unit that is read to show one trace (about 200 KB stored).
  std::uint32_t group_rows = 8192;
  /// Rows after which the open block is written: 40 bytes of memory each and the log's replay.
  std::uint64_t open_rows_max = 512 * 1024;
  /// The same by time, so that the log does not grow old.
  Duration open_age_max = hours(1);
  /// Blocks of one size that are merged, and the size that is not merged any more.
  std::size_t merge_count = 8;
  std::uint64_t block_bytes_max = std::uint64_t{256} << 20;
};

class StoreSnapshot;

/// Holds the kept traces: a log, an open block in memory, immutable blocks on disk (FORMAT.md).
/// What keep() took can be queried at once and survives the process; what was there at sync()
/// survives a power cut. Spans of a trace that come later go to the newest block and are united
/// with the others by whoever reads. Any number of threads; run_due() on one.
class TraceStore final : public KeptTraceSink {
 public:
  /// Opens what is in `directory`, creating it. Damaged blocks are set aside by name (`.damaged`)
  /// and logged; the rest is served.
  static Result<std::unique_ptr<TraceStore>> open(FileSystem& files, std::string directory,
                                                  const TraceStoreOptions& options, Logger& log,
                                                  Timestamp now);
  ~TraceStore() override;
  TraceStore(const TraceStore&) = delete;
  TraceStore& operator=(const TraceStore&) = delete;

  Status keep(std::span<const KeptTrace> traces, Timestamp now) override;
  Status sync() override;

  /// Encodes, writes blocks, merges and removes them; says when to be called again.
  Timestamp run_due(Timestamp now);
  /// Writes the open block at once.
  Status flush(Timestamp now);
  /// Syncs the log. keep() must not be called any more.
  Status close();

  /// Everything stored now; stays readable while blocks are merged and removed.
  std::shared_ptr<const StoreSnapshot> snapshot() const;
  /// tarsier_trace_store_*.
  void collect(MetricWriter& out) const;

 private:
  struct Impl;
  explicit TraceStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::tracing
