#include "tsdb/head/head_replay.h"

#include <optional>

#include "tsdb/head/replay_ahead.h"
#include "tsdb/head/replay_router.h"
#include "tsdb/wal/log_reader.h"
#include "tsdb/wal/repair.h"

namespace tarsier::tsdb {
namespace {

void replay_record(const DecodedRecord& record, Head& head, ReplayRouter& router,
                   ReplayStatistics& statistics) {
  ++statistics.record_count;
  switch (record.type) {
    case RecordType::kSeries:
      statistics.refused_series_count += head.replay_series(record.series);
      return;
    case RecordType::kSamples:
    case RecordType::kSamplesV2:
      statistics.sample_count += record.samples.size();
      router.add(record.samples);
      return;
    case RecordType::kMetadata: head.replay_metadata(record.metadata); return;
    case RecordType::kTombstones: head.replay_tombstones(record.tombstones); return;
    default: ++statistics.skipped_record_count; return;
  }
}

/// Reads the log from its begin into an empty head, up to the end or the first damage.
Result<std::optional<LogDamage>> replay_once(FileSystem& files, const std::string& wal_directory,
                                             ThreadPool* pool, Head& head,
                                             ReplayStatistics& statistics) {
  // Applying is more work than reading: with one helper it is the better use of it.
  const bool has_many_threads = pool != nullptr && pool->thread_count() > 1;
  ReplayAhead ahead(TRY(LogReader::open(files, wal_directory)), has_many_threads ? pool : nullptr);
  ReplayRouter router(head, pool);
  for (bool is_last = false; !is_last;) {
    const ReplayBatch& batch = ahead.next();
    for (std::size_t i = 0; i < batch.count; ++i) {
      replay_record(batch.records[i], head, router, statistics);
    }
    is_last = batch.is_last;
  }
  router.drain();
  return ahead.outcome();
}

}  // namespace

Result<std::unique_ptr<Head>> replay_head(FileSystem& files, const std::string& wal_directory,
                                          const std::string& lost_directory, const Options& options,
                                          Timestamp min_valid_time, Logger& log, ThreadPool* pool,
                                          ReplayStatistics& statistics) {
  // A log has at most as many damaged places as there are records; each is cut off for good.
  for (;;) {
    auto head = std::make_unique<Head>(options);
    head->set_min_valid_time(min_valid_time);
    const auto damage = TRY(replay_once(files, wal_directory, pool, *head, statistics));
    if (damage) {
      ++statistics.damage_count;
      TRY(repair_log(files, *damage, lost_directory, log));
      // Behind damage in the log itself nothing is left; behind a damaged checkpoint there is the
      // log.
      if (damage->directory != wal_directory) {
        statistics.record_count = 0;
        statistics.sample_count = 0;
        statistics.skipped_record_count = 0;
        statistics.refused_series_count = 0;
        continue;
      }
    }
    if (statistics.refused_series_count > 0) {
      log.warn("The log has series that cannot be taken; their samples are not served",
               {{"series", std::to_string(statistics.refused_series_count)}});
    }
    head->finish_replay();
    return head;
  }
}

}  // namespace tarsier::tsdb
