#include "tracing/store/block_merger.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "tracing/store/trace_part.h"

namespace tarsier::tracing {
namespace {

constexpr std::uint64_t kSmallestClassBytes = 1 << 20;
/// Groups encoded anew at a time: what is in memory meanwhile as messages.
constexpr std::uint64_t kRowsAtOnce = 64 * 1024;

std::size_t size_class(std::uint64_t bytes, std::size_t factor) {
  std::size_t out = 0;
  for (std::uint64_t limit = kSmallestClassBytes; bytes > limit && out < 32; limit *= factor) ++out;
  return out;
}

/// A group of a source with the ids of its traces in order.
struct SourceGroup {
  std::shared_ptr<const TraceBlock> block;
  std::uint32_t index = 0;
  std::vector<TraceId> ids;
};

Result<std::vector<SourceGroup>> groups_of(
    const std::vector<std::shared_ptr<const TraceBlock>>& sources) {
  std::vector<SourceGroup> out;
  for (const auto& block : sources) {
    const std::size_t base = out.size();
    for (std::uint32_t i = 0; i < block->meta().groups.size(); ++i) {
      out.push_back({.block = block, .index = i});
      out.back().ids.resize(block->meta().groups[i].trace_count);
    }
    for (const TracePlace& place : TRY(block->all_places())) {
      out[base + place.group].ids[place.ordinal] = place.id;
    }
  }
  return out;
}

/// Every trace of a group as fragments that own their bytes.
Status read_fragments(const SourceGroup& source, std::vector<TraceFragment>& out) {
  const std::unique_ptr<SpanRows> rows =
      TRY(TracePart::of_block(source.block, source.index).open());
  for (std::size_t i = 0; i < rows->traces().size(); ++i) {
    const traceql::TraceRows trace = rows->traces()[i];
    std::vector<KeptSpan> spans;
    for (std::uint32_t row = trace.first; row < trace.first + trace.count; ++row) {
      spans.push_back(TRY(rows->wire(row)));
    }
    const KeptTrace kept{.trace_id = rows->basics().trace_ids[i], .spans = spans};
    auto bytes = std::make_shared<const std::string>(encode_kept({&kept, 1}, Timestamp{0}));
    for (TraceFragment& fragment : TRY(decode_kept(std::move(bytes)))) {
      out.push_back(std::move(fragment));
    }
  }
  return {};
}

}  // namespace

std::vector<std::size_t> blocks_to_merge(
    const std::vector<std::shared_ptr<const TraceBlock>>& blocks, const MergeWanted& wanted) {
  for (std::size_t begin = 0; begin < blocks.size(); ++begin) {
    const std::size_t first_class = size_class(blocks[begin]->size(), wanted.count);
    std::vector<std::size_t> chosen;
    std::uint64_t bytes = 0;
    for (std::size_t i = begin; i < blocks.size() && chosen.size() < wanted.count; ++i) {
      bytes += blocks[i]->size();
      const bool fits = size_class(blocks[i]->size(), wanted.count) == first_class &&
                        bytes <= wanted.bytes_max &&
                        !wanted.left_alone.contains(blocks[i]->meta().sequence);
      if (!fits) break;
      chosen.push_back(i);
    }
    if (chosen.size() >= wanted.count) return chosen;
  }
  return {};
}

Result<std::shared_ptr<const TraceBlock>> merge_trace_blocks(
    FileSystem& files, const std::string& directory, std::uint64_t sequence,
    const std::vector<std::shared_ptr<const TraceBlock>>& sources, std::uint32_t group_rows) {
  const std::vector<SourceGroup> groups = TRY(groups_of(sources));
  std::map<TraceId, std::uint32_t> group_count;
  for (const SourceGroup& group : groups) {
    for (const TraceId id : group.ids) ++group_count[id];
  }
  TraceBlockMeta wanted{.filed_min = kMaxTimestamp, .filed_max = kMinTimestamp};
  BlockSummary summary;
  std::set<TraceId> late;
  for (const auto& block : sources) {
    const TraceBlockMeta& meta = block->meta();
    wanted.log_segment_max = std::max(wanted.log_segment_max, meta.log_segment_max);
    wanted.filed_min = std::min(wanted.filed_min, meta.filed_min);
    wanted.filed_max = std::max(wanted.filed_max, meta.filed_max);
    // Those too that a source replaced itself: they may still lie there after a crash.
    wanted.replaces.push_back(meta.sequence);
    wanted.replaces.insert(wanted.replaces.end(), meta.replaces.begin(), meta.replaces.end());
    late.insert(meta.late.begin(), meta.late.end());
    summary.add(TRY(block->summary()));
  }
  wanted.late.assign(late.begin(), late.end());
  const std::unique_ptr<TraceBlockWriter> out =
      TRY(TraceBlockWriter::create(files, directory, sequence));
  std::vector<TraceFragment> waiting;
  std::uint64_t waiting_rows = 0;
  BlockSummary unused;  // The sources' summaries say it all.
  const auto encode_waiting = [&]() -> Status {
    for (const auto& group : TRY(encode_groups(waiting, group_rows, unused))) {
      TRY(out->add_group(group->encoded.bytes, group->encoded.info, group->ids));
    }
    waiting.clear();
    waiting_rows = 0;
    return {};
  };
  for (const SourceGroup& group : groups) {
    const GroupInfo& info = group.block->meta().groups[group.index];
    const bool has_parts = std::any_of(group.ids.begin(), group.ids.end(),
                                       [&](TraceId id) { return group_count[id] > 1; });
    if (info.row_count >= group_rows / 2 && !has_parts) {
      const std::string bytes = TRY(group.block->read(info.offset, info.size));
      TRY(out->add_group(bytes, info, group.ids));
      continue;
    }
    TRY(read_fragments(group, waiting).with_prefix(group.block->path()));
    waiting_rows += info.row_count;
    if (waiting_rows >= kRowsAtOnce) TRY(encode_waiting());
  }
  TRY(encode_waiting());
  return TraceBlock::open(files, TRY(out->finish(wanted, summary)));
}

}  // namespace tarsier::tracing
