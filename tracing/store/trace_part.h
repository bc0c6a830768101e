#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "tracing/store/block_summary.h"
#include "tracing/store/group_rows.h"
#include "tracing/store/group_writer.h"
#include "tracing/store/kept_log.h"
#include "tracing/store/span_rows.h"
#include "tracing/store/trace_block.h"

namespace tarsier::tracing {

/// A group that is in no file yet, with what a block will say of it. Immutable.
struct MemoryGroup {
  EncodedGroup encoded;
  std::vector<TraceId> ids;                              ///< In the order of its traces.
  std::vector<std::pair<TraceId, std::uint32_t>> by_id;  ///< Sorted, with the ordinal.
};

/// Encodes fragments into groups of about `rows_wanted` rows each, whole traces together, and adds
/// them to the summary. Spans that are damaged are left out.
Result<std::vector<std::shared_ptr<const MemoryGroup>>> encode_groups(
    std::span<const TraceFragment> fragments, std::uint32_t rows_wanted, BlockSummary& summary);

/// One piece of what the store holds, to be searched on its own: fragments as they came, a group in
/// memory or a group of a block. Cheap to copy; any number of threads.
class TracePart final {
 public:
  using Fragments = std::vector<std::shared_ptr<const TraceFragment>>;

  static TracePart of_fragments(std::shared_ptr<const Fragments> fragments);
  static TracePart of_group(std::shared_ptr<const MemoryGroup> group);
  static TracePart of_block(std::shared_ptr<const TraceBlock> block, std::uint32_t group);

  bool overlaps(std::uint64_t begin_ns, std::uint64_t end_ns) const {
    return start_min_ns_ <= end_ns && end_max_ns_ >= begin_ns;
  }
  std::uint64_t end_max_ns() const { return end_max_ns_; }
  std::uint64_t start_min_ns() const { return start_min_ns_; }
  std::uint64_t size_bytes() const;
  bool has_directory() const { return fragments_ == nullptr; }
  /// REQUIRES: has_directory().
  Result<GroupDirectory> directory() const;
  /// The rows; the second form for a directory that has been read already.
  Result<std::unique_ptr<SpanRows>> open() const;
  Result<std::unique_ptr<SpanRows>> open(GroupDirectory directory) const;

 private:
  GroupBytes reader() const;
  const GroupInfo& info() const;

  std::shared_ptr<const Fragments> fragments_;
  std::shared_ptr<const MemoryGroup> group_;
  std::shared_ptr<const TraceBlock> block_;
  std::uint32_t index_ = 0;
  std::uint64_t start_min_ns_ = 0;
  std::uint64_t end_max_ns_ = 0;
};

}  // namespace tarsier::tracing
