#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "tracing/store/block_summary.h"
#include "tracing/store/trace_part.h"

namespace tarsier::tracing {

/// The spans of one trace as they were sent, with everything they borrow from.
struct FoundTrace {
  TraceId id;
  std::vector<KeptSpan> spans;
  std::vector<std::shared_ptr<void>> owners;
};

/// Groups in memory and fragments that wait to become one.
struct OpenPart {
  std::vector<std::shared_ptr<const TraceFragment>> fragments;
  std::vector<std::shared_ptr<const MemoryGroup>> groups;
  /// Of the groups. Replaced, never changed.
  std::shared_ptr<const BlockSummary> summary = std::make_shared<BlockSummary>();
};

/// What a store holds at one moment. Immutable; any number of threads.
class StoreSnapshot final {
 public:
  std::vector<OpenPart> open;  ///< The one being written, if any, and the one being filled.
  std::vector<std::shared_ptr<const TraceBlock>> blocks;
  std::shared_ptr<const std::set<TraceId>> late;  ///< Traces whose spans may be in several parts.

  /// Every part, newest first.
  std::vector<TracePart> parts() const;
  /// All spans held of a trace; empty when there is none. A damaged part is left out and told in
  /// `problem`.
  FoundTrace find(TraceId id, Status& problem) const;
  /// Of everything. Reads the summaries of the blocks.
  Result<BlockSummary> summary() const;
  /// Of what overlaps the times, by block.
  Result<BlockSummary> summary(std::uint64_t begin_ns, std::uint64_t end_ns) const;
};

}  // namespace tarsier::tracing
