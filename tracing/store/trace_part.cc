#include "tracing/store/trace_part.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace tarsier::tracing {
namespace {

std::vector<KeptTrace> as_kept(std::span<const TraceFragment> fragments) {
  std::vector<KeptTrace> out;
  out.reserve(fragments.size());
  for (const TraceFragment& f : fragments) out.push_back({.trace_id = f.id, .spans = f.spans});
  return out;
}

/// Rows over fragments that are kept alive with them.
class FragmentRows final : public SpanRows {
 public:
  static std::unique_ptr<SpanRows> make(std::shared_ptr<const TracePart::Fragments> fragments) {
    std::vector<KeptTrace> kept;
    kept.reserve(fragments->size());
    for (const auto& f : *fragments) kept.push_back({.trace_id = f->id, .spans = f->spans});
    return std::make_unique<FragmentRows>(std::move(fragments), WireRows(kept));
  }
  FragmentRows(std::shared_ptr<const TracePart::Fragments> fragments, WireRows rows)
      : fragments_(std::move(fragments)), rows_(std::move(rows)) {
    basics_ = rows_.basics();
  }
  Result<KeptSpan> wire(std::uint32_t row) override { return rows_.wire(row); }
  std::vector<traceql::Attribute> attributes() override { return rows_.attributes(); }

 private:
  void read_column(const traceql::Attribute& attribute, Column& out) override {
    out = rows_.column(attribute);
  }

  const std::shared_ptr<const TracePart::Fragments> fragments_;
  WireRows rows_;
};

}  // namespace

Result<std::vector<std::shared_ptr<const MemoryGroup>>> encode_groups(
    std::span<const TraceFragment> fragments, std::uint32_t rows_wanted, BlockSummary& summary) {
  std::vector<std::shared_ptr<const MemoryGroup>> out;
  // Traces in the order of their first fragment: neighbours in time stay neighbours.
  std::map<TraceId, std::size_t> place_of;
  std::vector<std::vector<TraceFragment>> traces;
  for (const TraceFragment& fragment : fragments) {
    const auto [at, is_new] = place_of.try_emplace(fragment.id, traces.size());
    if (is_new) traces.emplace_back();
    traces[at->second].push_back(fragment);
  }
  std::vector<TraceFragment> batch;
  std::size_t rows_in_batch = 0;
  const auto flush = [&]() -> Status {
    if (batch.empty()) return {};
    WireRows rows(as_kept(batch));
    batch.clear();
    rows_in_batch = 0;
    if (rows.row_count() == 0) return {};
    std::vector<std::uint32_t> all(rows.traces().size());
    std::iota(all.begin(), all.end(), 0U);
    auto group = std::make_shared<MemoryGroup>();
    group->encoded = TRY(encode_group(rows, all));
    summary.add(rows);
    const EncodedGroup& encoded = group->encoded;
    const GroupBytes read = [&](std::uint64_t offset, std::uint64_t size) -> Result<std::string> {
      return encoded.bytes.substr(offset, size);
    };
    // Encoding sorts the traces; reading it back also proves that it can be read.
    GroupDirectory directory = TRY(read_directory(encoded.info, read));
    const std::unique_ptr<GroupRows> back =
        TRY(GroupRows::open(encoded.info, std::move(directory), read));
    group->ids = back->basics().trace_ids;
    for (std::uint32_t i = 0; i < group->ids.size(); ++i) {
      group->by_id.emplace_back(group->ids[i], i);
    }
    std::sort(group->by_id.begin(), group->by_id.end());
    out.push_back(std::move(group));
    return {};
  };
  for (std::vector<TraceFragment>& trace : traces) {
    for (TraceFragment& fragment : trace) {
      rows_in_batch += fragment.spans.size();
      batch.push_back(std::move(fragment));
    }
    if (rows_in_batch >= rows_wanted) TRY(flush());
  }
  TRY(flush());
  return out;
}

TracePart TracePart::of_fragments(std::shared_ptr<const Fragments> fragments) {
  TracePart out;
  out.start_min_ns_ = 0;  // Not worth knowing: they are few and new.
  out.end_max_ns_ = std::numeric_limits<std::uint64_t>::max();
  out.fragments_ = std::move(fragments);
  return out;
}

TracePart TracePart::of_group(std::shared_ptr<const MemoryGroup> group) {
  TracePart out;
  out.start_min_ns_ = group->encoded.info.start_min_ns;
  out.end_max_ns_ = group->encoded.info.end_max_ns;
  out.group_ = std::move(group);
  return out;
}

TracePart TracePart::of_block(std::shared_ptr<const TraceBlock> block, std::uint32_t group) {
  TracePart out;
  out.start_min_ns_ = block->meta().groups[group].start_min_ns;
  out.end_max_ns_ = block->meta().groups[group].end_max_ns;
  out.block_ = std::move(block);
  out.index_ = group;
  return out;
}

std::uint64_t TracePart::size_bytes() const {
  if (fragments_ == nullptr) return info().size;
  std::uint64_t out = 0;
  for (const auto& fragment : *fragments_) {
    for (const KeptSpan& span : fragment->spans) out += span.span.size();
  }
  return out;
}

const GroupInfo& TracePart::info() const {
  return group_ != nullptr ? group_->encoded.info : block_->meta().groups[index_];
}

GroupBytes TracePart::reader() const {
  if (block_ != nullptr) {
    return [block = block_](std::uint64_t offset, std::uint64_t size) {
      return block->read(offset, size);
    };
  }
  return [group = group_](std::uint64_t offset, std::uint64_t size) -> Result<std::string> {
    const std::string& bytes = group->encoded.bytes;
    if (offset > bytes.size() || size > bytes.size() - offset) {
      return corruption("outside the group");
    }
    return bytes.substr(offset, size);
  };
}

Result<GroupDirectory> TracePart::directory() const { return read_directory(info(), reader()); }

Result<std::unique_ptr<SpanRows>> TracePart::open() const {
  if (fragments_ != nullptr) return FragmentRows::make(fragments_);
  return open(TRY(directory()));
}

Result<std::unique_ptr<SpanRows>> TracePart::open(GroupDirectory directory) const {
  std::unique_ptr<GroupRows> rows = TRY(GroupRows::open(info(), std::move(directory), reader()));
  return std::unique_ptr<SpanRows>(std::move(rows));
}

}  // namespace tarsier::tracing
