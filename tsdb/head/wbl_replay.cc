#include "tsdb/head/wbl_replay.h"

#include <optional>
#include <vector>

#include "tsdb/wal/histogram_record.h"
#include "tsdb/wal/log_reader.h"
#include "tsdb/wal/mmap_markers.h"
#include "tsdb/wal/repair.h"

namespace tarsier::tsdb {
namespace {

Status replay_record(Bytes record, Head& head, ReplayStatistics& statistics) {
  switch (record_type(record)) {
    case RecordType::kSamples:
    case RecordType::kSamplesV2: {
      std::vector<RefSample> samples;
      TRY(decode_samples(record, samples));
      statistics.late_sample_count += samples.size();
      statistics.late_unknown_sample_count += head.replay_late(samples);
      return {};
    }
    case RecordType::kMmapMarkers: {
      // Read for damage only: Head::replay_late says why.
      std::vector<MmapMarker> markers;
      return decode_markers(record, markers);
    }
    case RecordType::kTombstones: {
      std::vector<RefTombstone> tombstones;
      TRY(decode_tombstones(record, tombstones));
      head.replay_late_tombstones(tombstones);
      return {};
    }
    case RecordType::kHistograms:
    case RecordType::kFloatHistograms:
    case RecordType::kCustomHistograms:
    case RecordType::kCustomFloatHistograms:
    case RecordType::kHistogramsV2:
    case RecordType::kFloatHistogramsV2: {
      std::vector<RefHistogram> histograms;
      TRY(decode_histograms(record, histograms));
      statistics.late_sample_count += histograms.size();
      const Head::LateReplay done = head.replay_late_histograms(histograms);
      statistics.late_unknown_sample_count += done.unknown_count;
      statistics.invalid_histogram_count += done.invalid_count;
      return {};
    }
    default: ++statistics.skipped_record_count; return {};
  }
}

/// Takes what is before the first damage.
Result<std::optional<LogDamage>> replay_once(FileSystem& files, const std::string& directory,
                                             Head& head, ReplayStatistics& statistics) {
  const auto reader = TRY(LogReader::open(files, directory));
  while (reader->next()) {
    const Status status = replay_record(reader->record(), head, statistics);
    if (!status.ok()) return std::optional(reader->damage_in_record(status.message()));
  }
  if (!reader->damage() && !reader->status().ok()) return reader->status();
  return reader->damage();
}

}  // namespace

Status read_wbl(FileSystem& files, const std::string& directory, Head& head, Logger& log) {
  ReplayStatistics statistics;
  const auto damage = TRY(replay_once(files, directory, head, statistics));
  if (damage) {
    log.warn("The log of out-of-order samples is read up to its damage",
             {{"damage", damage->to_string()}});
  }
  return {};
}

Status replay_wbl(FileSystem& files, const ReplaySources& sources, Head& head, Logger& log,
                  ReplayStatistics& statistics) {
  const auto damage = TRY(replay_once(files, sources.wbl_directory, head, statistics));
  if (damage) {
    ++statistics.late_damage_count;
    TRY(repair_log(files, *damage, sources.lost_directory, log));
    if (damage->kind == LogDamage::Kind::kCorruption) head.replay_late_chunks();
  }
  if (statistics.late_unknown_sample_count > 0) {
    log.warn("Out-of-order samples of unknown series are not served",
             {{"samples", std::to_string(statistics.late_unknown_sample_count)}});
  }
  return {};
}

}  // namespace tarsier::tsdb
