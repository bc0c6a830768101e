#include "tsdb/head/ended_series_cutter.h"

#include <algorithm>

namespace tarsier::tsdb {

EndedSeriesCutter::Outcome EndedSeriesCutter::run_due(Timestamp now, const Means& means) {
  if (!backoff_.is_due(now)) return Outcome::kNothing;
  if (!begun_) {
    std::vector<EndedSeries> ended = parts_.head.ended_series();
    const std::size_t enough =
        std::max(parts_.options.ended_series_min, parts_.head.table().series_count() / 12);
    if (ended.empty() || ended.size() < enough) return Outcome::kNothing;
    begun_ = Begun{std::move(ended), means.appended};
  }
  // A block must not outlive a commit of which the log lost the rest.
  if (means.safe.log < begun_->position) return Outcome::kWaitsForLog;
  const Result<std::size_t> removed = cut(means);
  begun_.reset();
  if (!removed.ok()) {
    backoff_.fail(now);
    parts_.log.error("Series that ended cannot leave memory",
                     {{"error", removed.status().message()}});
    return Outcome::kNothing;
  }
  backoff_.succeed();
  parts_.log.info("Series that ended left memory", {{"series", std::to_string(*removed)}});
  return *removed > 0 ? Outcome::kRemoved : Outcome::kNothing;
}

Result<std::size_t> EndedSeriesCutter::cut(const Means& means) {
  Head& head = parts_.head;
  const auto generation = head.generation();  // Keeps the slots.
  std::int64_t newest = INT64_MIN;
  for (const EndedSeries& one : begun_->series) newest = std::max(newest, one.newest);
  std::vector<Ulid> ulids;
  const Duration range = parts_.options.block_range;
  for (Timestamp end{head.window_end(std::max(head.min_time(), generation->min_time))};;
       end = end + range) {
    const TimeRange window{end - range, end - milliseconds(1)};
    const auto meta =
        TRY(cut_series(head, parts_.files, parts_.data_directory, means.next_ulid(), begun_->series,
                       window, parts_.options.chunk_segment_bytes, means.seen));
    if (meta) ulids.push_back(meta->ulid);
    if (end.ms > newest) break;
  }
  TRY(parts_.blocks.reload());
  const auto list = parts_.blocks.blocks();
  for (const Ulid& ulid : ulids) {
    const bool is_served = std::any_of(
        list->begin(), list->end(), [&](const auto& block) { return block->meta().ulid == ulid; });
    if (!is_served) return corruption("the block just written cannot be opened");
  }
  // Chunks in files can be given back.
  parts_.spiller.run(means.safe);
  parts_.spiller.run(means.safe);
  parts_.chunks.finish_file();
  return head.remove_ended(begun_->series, parts_.chunks);
}

}  // namespace tarsier::tsdb
