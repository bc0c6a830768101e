#include "tsdb/head/chunk_spiller.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kManyBytes = std::size_t{4} << 20;
/// Of one file: Prometheus maps 128 MiB at most.
constexpr std::size_t kPagesPerFile = 32;
/// How often to look, and how long few chunks wait.
constexpr Duration kGlance = seconds(2);
constexpr Duration kPatience = minutes(1);

}  // namespace

Status ChunkSpiller::write(const Head::StagedPages& pages) {
  for (std::span<StagedPage* const> rest = pages.in_order; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kPagesPerFile));
    const HeadChunkFiles::Written written = TRY(files_.write(some, 0));
    Head::StagedPages done;
    done.in_order.assign(some.begin(), some.end());
    head_.release(done, {written.replaced});
    rest = rest.subspan(some.size());
  }
  for (std::span<StagedPage* const> rest = pages.late; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kPagesPerFile));
    const HeadChunkFiles::Written written = TRY(files_.write(some, pages.epoch->number()));
    // The newest chunk of each series: a marker stands for all before.
    std::unordered_map<std::uint64_t, Head::LatePlace> newest;
    for (const StagedPage* page : some) {
      for (const SealedChunk* chunk : page->chunks) {
        const std::byte* const entry = chunk->entry();
        const auto offset = static_cast<std::uint64_t>(entry - written.file->bytes().data());
        const SeriesRef ref{load_be<std::uint64_t>(entry)};
        newest.insert_or_assign(
            ref.value, Head::LatePlace{chunk, {ref, head_chunk_ref(written.file->number, offset)}});
      }
    }
    std::vector<Head::LatePlace> places;
    for (const auto& [ref, place] : newest) places.push_back(place);
    std::sort(places.begin(), places.end(),
              [](const auto& a, const auto& b) { return a.marker.ref < b.marker.ref; });
    TRY(head_.log_markers(*pages.epoch, places));
    Head::StagedPages done;
    done.late.assign(some.begin(), some.end());
    done.epoch = pages.epoch;
    head_.release(done, {written.replaced});
    rest = rest.subspan(some.size());
  }
  return {};
}

void ChunkSpiller::run(Head::SafePositions safe) {
  const Head::StagedPages pages = head_.stage(safe);
  const Status status = write(pages);
  if (!status.ok()) {
    log_.error("Writing head chunks failed; they stay in memory", {{"error", status.message()}});
  }
}

Timestamp ChunkSpiller::run_due(Timestamp now, Head::SafePositions safe) {
  if (now >= next_ || head_.staged_bytes() >= kManyBytes) {
    run(safe);
    next_ = now + kPatience;
  }
  return now + kGlance;
}

}  // namespace tarsier::tsdb
