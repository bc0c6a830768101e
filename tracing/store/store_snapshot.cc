#include "tracing/store/store_snapshot.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tarsier::tracing {
namespace {

/// Adds one trace of some rows; the rows live on with it.
Status add_rows(std::shared_ptr<SpanRows> rows, std::uint32_t ordinal, FoundTrace& out) {
  const traceql::TraceRows trace = rows->traces()[ordinal];
  if (rows->basics().trace_ids[ordinal] != out.id) {
    return corruption("the list of traces leads to another one");
  }
  for (std::uint32_t row = trace.first; row < trace.first + trace.count; ++row) {
    out.spans.push_back(TRY(rows->wire(row)));
  }
  out.owners.push_back(std::move(rows));
  return {};
}

Status find_in(const TracePart& part, std::uint32_t ordinal, FoundTrace& out) {
  std::unique_ptr<SpanRows> rows = TRY(part.open());
  if (ordinal >= rows->traces().size()) return corruption("a trace outside its group");
  return add_rows(std::move(rows), ordinal, out);
}

Status find_in_block(const std::shared_ptr<const TraceBlock>& block, FoundTrace& out) {
  for (const TracePlace& place : TRY(block->find(out.id))) {
    TRY(find_in(TracePart::of_block(block, place.group), place.ordinal, out)
            .with_prefix(block->path()));
  }
  return {};
}

}  // namespace

std::vector<TracePart> StoreSnapshot::parts() const {
  std::vector<TracePart> out;
  for (auto part = open.rbegin(); part != open.rend(); ++part) {
    if (!part->fragments.empty()) {
      out.push_back(
          TracePart::of_fragments(std::make_shared<const TracePart::Fragments>(part->fragments)));
    }
    for (auto group = part->groups.rbegin(); group != part->groups.rend(); ++group) {
      out.push_back(TracePart::of_group(*group));
    }
  }
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    for (std::size_t i = (*block)->meta().groups.size(); i-- > 0;) {
      out.push_back(TracePart::of_block(*block, static_cast<std::uint32_t>(i)));
    }
  }
  return out;
}

FoundTrace StoreSnapshot::find(TraceId id, Status& problem) const {
  FoundTrace out{.id = id};
  const auto note = [&](Status status) {
    if (!status.ok() && problem.ok()) problem = std::move(status);
  };
  for (const OpenPart& part : open) {
    for (const auto& fragment : part.fragments) {
      if (fragment->id != id) continue;
      out.spans.insert(out.spans.end(), fragment->spans.begin(), fragment->spans.end());
      out.owners.push_back(std::const_pointer_cast<TraceFragment>(fragment));
    }
    for (const auto& group : part.groups) {
      const auto at = std::lower_bound(group->by_id.begin(), group->by_id.end(),
                                       std::pair<TraceId, std::uint32_t>(id, 0));
      if (at == group->by_id.end() || at->first != id) continue;
      note(find_in(TracePart::of_group(group), at->second, out));
    }
  }
  for (const auto& block : blocks) note(find_in_block(block, out));
  return out;
}

Result<BlockSummary> StoreSnapshot::summary() const {
  return summary(0, std::numeric_limits<std::uint64_t>::max());
}

Result<BlockSummary> StoreSnapshot::summary(std::uint64_t begin_ns, std::uint64_t end_ns) const {
  BlockSummary out;
  for (const OpenPart& part : open) {
    out.add(*part.summary);
    std::vector<KeptTrace> fragments;
    for (const auto& f : part.fragments)
      fragments.push_back({.trace_id = f->id, .spans = f->spans});
    WireRows rows(fragments);
    out.add(rows);
  }
  for (const auto& block : blocks) {
    const bool overlaps =
        block->meta().start_min_ns <= end_ns && block->meta().end_max_ns >= begin_ns;
    if (overlaps) out.add(TRY(block->summary()));
  }
  return out;
}

}  // namespace tarsier::tracing
