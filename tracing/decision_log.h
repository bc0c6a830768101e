#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/decisions/decision_segment.h"
#include "tracing/decisions/packed_decision.h"
#include "tracing/sampling_decision.h"

namespace tarsier::tracing {

/// What became of every trace, kept or dropped: for late spans, which follow the decision on their
/// trace, and for people who miss a trace. 15 bytes a decision on disk; the newest also in memory.
///
/// 1. remember() is found by recall() and find() at once.
/// 2. flush() puts what was remembered into the log of the open segment: it survives the process.
///    sync() makes it survive a power cut.
/// 3. A segment lasts ten minutes or a quarter of a million decisions; then it is sealed: sorted
/// and
///    searchable on disk. The oldest go by age and by size.
///
/// Any number of threads may remember, recall and find; one at a time flushes and syncs. Its lock
/// is a leaf.
class DecisionLog final {
 public:
  struct Options {
    Duration retention = hours(48);
    std::uint64_t disk_bytes_max = std::uint64_t{2} << 30;
    /// Of the tables late spans are looked up in; the newest always stays.
    std::uint64_t memory_bytes_max = std::uint64_t{64} << 20;
    Duration segment_duration = minutes(10);  ///< At most an hour.
    std::size_t segment_decisions_max = 250'000;
  };
  /// Reads what is there; damaged files are reported and set aside. `log` must outlive it.
  static Result<std::unique_ptr<DecisionLog>> open(FileSystem& files, const std::string& directory,
                                                   const Options& options, Timestamp now,
                                                   Logger& log);

  void remember(TraceId id, const SamplingDecision& decision, const DecisionInputs& inputs);

  /// A decision as it is remembered.
  struct Memory {
    SamplingDecision decision;  ///< Without its reason.
    DecisionInputs inputs;
  };
  /// From memory alone: for spans that arrive. Nothing when it is not remembered there.
  std::optional<Memory> recall(TraceId id) const;
  /// Also on disk; milliseconds. kCorruption, kIo: some segment could not be read, and no other had
  /// it.
  Result<std::optional<Memory>> find(TraceId id) const;

  /// Writes what was remembered since; begins new segments and drops old ones as time demands. What
  /// could not be written is kept for the next call.
  Status flush(Timestamp now);
  Status sync();

  /// How far back decisions can be found.
  Duration covered(Timestamp now) const;
  void collect(MetricWriter& out, Timestamp now) const;

 private:
  struct Segment {
    std::uint32_t number = 0;
    std::shared_ptr<DecisionTable> table;           ///< Null: only on disk.
    std::shared_ptr<const SealedDecisions> sealed;  ///< Null while open.
    Timestamp begin;
  };

  DecisionLog(FileSystem& files, std::string directory, const Options& options, Logger& log)
      : files_(files), directory_(std::move(directory)), options_(options), log_(log) {}
  Status load(Timestamp now);
  Status load_log(std::uint32_t number);
  Status load_sealed(std::uint32_t number);
  Status begin_segment(Timestamp now);
  Status write_pending();
  Status seal_oldest_open();
  void drop_old(Timestamp now);
  void trim_memory() REQUIRES_LOCK(mutex_);
  std::string path_of(std::uint32_t number, std::string_view suffix) const;
  static Memory memory_of(const PackedDecision& packed, std::string_view policy, Timestamp begin);

  FileSystem& files_;
  const std::string directory_;
  const Options options_;
  Logger& log_;

  mutable Mutex mutex_;
  std::deque<Segment> segments_ GUARDED_BY(mutex_);               // Oldest first; the last is open.
  std::vector<DecisionTable::Entry> pending_ GUARDED_BY(mutex_);  // Of the open segment.
  std::size_t names_written_ GUARDED_BY(mutex_) = 0;
  // Of the flushing thread.
  std::unique_ptr<WritableFile> file_;
  std::uint32_t next_number_ = 1;
  bool is_synced_ = true;
  Counter remembered_;
};

}  // namespace tarsier::tracing
