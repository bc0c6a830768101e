#include "tsdb/head/head_replay.h"

#include <optional>

#include "tsdb/wal/log_reader.h"
#include "tsdb/wal/repair.h"

namespace tarsier::tsdb {
namespace {

/// Buffers that keep their capacity from record to record.
struct Decoded {
  std::vector<RefSeries> series;
  std::vector<RefSample> samples;
  std::vector<RefMetadata> metadata;
};

Status replay_record(Bytes record, Head& head, Decoded& decoded, ReplayStatistics& statistics) {
  ++statistics.record_count;
  switch (record_type(record)) {
    case RecordType::kSeries:
      TRY(decode_series(record, decoded.series));
      statistics.refused_series_count += head.replay_series(decoded.series);
      return {};
    case RecordType::kSamples:
    case RecordType::kSamplesV2:
      TRY(decode_samples(record, decoded.samples));
      statistics.sample_count += decoded.samples.size();
      head.replay_samples(decoded.samples);
      return {};
    case RecordType::kMetadata:
      TRY(decode_metadata(record, decoded.metadata));
      head.replay_metadata(decoded.metadata);
      return {};
    default: ++statistics.skipped_record_count; return {};
  }
}

/// Reads the log from its begin into an empty head, up to the end or the first damage.
Result<std::optional<LogDamage>> replay_once(FileSystem& files, const std::string& wal_directory,
                                             Head& head, ReplayStatistics& statistics) {
  const auto reader = TRY(LogReader::open(files, wal_directory));
  Decoded decoded;
  while (reader->next()) {
    const Status status = replay_record(reader->record(), head, decoded, statistics);
    // A record whose contents make no sense counts as damage of the log at this place.
    if (!status.ok()) return std::optional(reader->damage_in_record(status.message()));
  }
  if (reader->damage()) return reader->damage();
  TRY(Status(reader->status()));
  return std::optional<LogDamage>();
}

}  // namespace

Result<std::unique_ptr<Head>> replay_head(FileSystem& files, const std::string& wal_directory,
                                          const std::string& lost_directory, const Options& options,
                                          Timestamp min_valid_time, Logger& log,
                                          ReplayStatistics& statistics) {
  // A log has at most as many damaged places as there are records; each is cut off for good.
  for (;;) {
    auto head = std::make_unique<Head>(options);
    head->set_min_valid_time(min_valid_time);
    const auto damage = TRY(replay_once(files, wal_directory, *head, statistics));
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
