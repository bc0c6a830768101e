#include "tsdb/wal/log_verifier.h"

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "tsdb/wal/log_format.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment_reader.h"

namespace tarsier::tsdb {
namespace {

using Report = std::function<void(const std::string&, const std::string&)>;

/// Decodes what there is a decoder for.
class RecordChecker final {
 public:
  Status check(Bytes record) {
    switch (record_type(record)) {
      case RecordType::kSeries: return decode_series(record, series_);
      case RecordType::kSamples:
      case RecordType::kSamplesV2: return decode_samples(record, samples_);
      case RecordType::kTombstones: return decode_tombstones(record, tombstones_);
      case RecordType::kExemplars: return decode_exemplars(record, exemplars_);
      case RecordType::kMetadata: return decode_metadata(record, metadata_);
      case RecordType::kHistograms:
      case RecordType::kFloatHistograms:
      case RecordType::kCustomHistograms:
      case RecordType::kCustomFloatHistograms: return newest_histogram_time(record).status();
      default: return {};
    }
  }

 private:
  std::vector<RefSeries> series_;
  std::vector<RefSample> samples_;
  std::vector<RefTombstone> tombstones_;
  std::vector<RefExemplar> exemplars_;
  std::vector<RefMetadata> metadata_;
};

Status verify_segment(FileSystem& files, const std::string& path, bool is_last,
                      const Report& report, LogTotals& totals) {
  const auto reader = TRY(SegmentReader::open(files, path, kLogRecordBytesMax));
  RecordChecker checker;
  ++totals.segments;
  for (;;) {
    switch (reader->next()) {
      case SegmentReader::Step::kEnd: return {};
      case SegmentReader::Step::kFailed: return reader->status();
      case SegmentReader::Step::kTorn:
      case SegmentReader::Step::kDamaged:
        report(path, fmt::format("at {}: {}{}", reader->damage_offset(), reader->damage_reason(),
                                 is_last ? " (in the last segment: what a crash may leave)" : ""));
        return {};
      case SegmentReader::Step::kRecord: break;
    }
    ++totals.records;
    if (const Status status = checker.check(reader->record()); !status.ok()) {
      report(path, fmt::format("at {}: {}", reader->record_begin(), status.message()));
    }
  }
}

/// `expected` is the number the log must go on with, if that is known.
Status verify_directory(FileSystem& files, const std::string& directory,
                        std::optional<std::uint32_t> expected, bool has_last, const Report& report,
                        LogTotals& totals) {
  const std::vector<std::uint32_t> segments = TRY(list_segments(files, directory));
  for (const std::uint32_t segment : segments) {
    if (expected && segment < *expected) continue;  // A checkpoint stands for it.
    if (expected && segment > *expected) {
      report(join_path(directory, segment_name(*expected)), "is missing, but later ones are there");
    }
    expected = segment + 1;
    const bool is_last = has_last && segment == segments.back();
    TRY(verify_segment(files, join_path(directory, segment_name(segment)), is_last, report,
                       totals));
  }
  return {};
}

}  // namespace

Result<LogTotals> verify_log(FileSystem& files, const std::string& log_directory,
                             const Report& report) {
  LogTotals totals;
  if (!files.exists(log_directory)) return totals;
  const auto checkpoint = TRY(find_newest_checkpoint(files, log_directory));
  std::optional<std::uint32_t> first;
  if (checkpoint) {
    TRY(verify_directory(files, join_path(log_directory, checkpoint_name(*checkpoint)), 0, false,
                         report, totals));
    first = *checkpoint + 1;
  }
  TRY(verify_directory(files, log_directory, first, true, report, totals));
  return totals;
}

}  // namespace tarsier::tsdb
