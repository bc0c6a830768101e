#include "tsdb/wal/checkpoint.h"

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tsdb/wal/commit_group.h"
#include "tsdb/wal/histogram_record.h"
#include "tsdb/wal/log_format.h"
#include "tsdb/wal/log_reader.h"
#include "tsdb/wal/log_writer.h"
#include "tsdb/wal/record.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
constexpr std::size_t kMetadataPerRecord = 1000;

/// Writes records to segments in a directory of their own.
class SegmentSink final {
 public:
  SegmentSink(FileSystem& files, std::string directory, const CheckpointPlan& plan)
      : files_(files),
        directory_(std::move(directory)),
        compression_(plan.compression),
        writer_(0, plan.segment_bytes) {}

  Status add(Bytes record) {
    encoded_.encode(record, compression_);
    writer_.append(encoded_, output_);
    return output_.bytes.size() < kWriteBytes ? Status() : write();
  }

  /// Everything written and synced, the names too.
  Status finish() {
    TRY(write());
    if (file_ == nullptr) TRY(open(0));  // A log that forgot everything is still a log.
    TRY(file_->sync());
    return files_.sync_directory(directory_);
  }

  std::uint64_t bytes() const { return bytes_; }

 private:
  Status open(std::uint32_t segment) {
    file_ = TRY(
        files_.open_writable(join_path(directory_, segment_name(segment)), OpenMode::kTruncate));
    return {};
  }

  Status write() {
    if (file_ == nullptr) TRY(open(0));
    const Bytes bytes = as_bytes(output_.bytes);
    std::size_t begin = 0;
    for (const LogOutput::Cut& cut : output_.cuts) {
      TRY(file_->append(bytes.subspan(begin, cut.at - begin)));
      TRY(file_->sync());
      TRY(open(cut.segment));
      begin = cut.at;
    }
    TRY(file_->append(bytes.subspan(begin)));
    bytes_ += bytes.size();
    output_.clear();
    return {};
  }

  FileSystem& files_;
  const std::string directory_;
  const WalCompression compression_;
  LogWriter writer_;
  LogOutput output_;
  EncodedRecord encoded_;
  std::unique_ptr<WritableFile> file_;
  std::uint64_t bytes_ = 0;
};

/// Drops from `items` what `keep` refuses and counts both.
template <typename Item, typename Keep>
void filter(std::vector<Item>& items, CheckpointStatistics::Count& count, Keep keep) {
  const std::size_t before = items.size();
  std::erase_if(items, [&](const Item& item) { return !keep(item); });
  count.kept += items.size();
  count.dropped += before - items.size();
}

/// Passes on what of each record outlives the checkpoint. Decoded records keep their buffers.
class Condenser final {
 public:
  Condenser(const CheckpointPlan& plan, const std::function<bool(SeriesRef)>& keep_series,
            SegmentSink& sink)
      : min_time_(plan.min_time), keep_series_(keep_series), sink_(sink) {}

  Status add(Bytes record) {
    const RecordType type = record_type(record);
    switch (type) {
      case RecordType::kSeries:
        TRY(decode_series(record, series_));
        filter(series_, statistics.series, [&](const RefSeries& s) { return keep_series_(s.ref); });
        return pass(series_, encode_series);
      case RecordType::kSamples: {
        TRY(decode_samples(record, samples_));
        const bool all_kept = filter_samples();
        return all_kept ? sink_.add(record) : pass(samples_, encode_samples);
      }
      case RecordType::kSamplesV2:
        // Encoded anew they would lose their start timestamps: the record stays whole while any
        // stays.
        TRY(decode_samples(record, samples_));
        filter_samples();
        return samples_.empty() ? Status() : sink_.add(record);
      case RecordType::kTombstones:
        TRY(decode_tombstones(record, tombstones_));
        filter(tombstones_, statistics.tombstones,
               [&](const RefTombstone& t) { return t.max >= min_time_ && keep_series_(t.ref); });
        return pass(tombstones_, encode_tombstones);
      case RecordType::kExemplars:
        TRY(decode_exemplars(record, exemplars_));
        filter(exemplars_, statistics.exemplars,
               [&](const RefExemplar& e) { return e.t >= min_time_; });
        return pass(exemplars_, encode_exemplars);
      case RecordType::kMetadata:
        TRY(decode_metadata(record, metadata_));
        for (RefMetadata& one : metadata_) {
          if (keep_series_(one.ref)) newest_metadata_[one.ref] = std::move(one.metadata);
        }
        return {};
      case RecordType::kHistograms:
      case RecordType::kFloatHistograms:
      case RecordType::kCustomHistograms:
      case RecordType::kCustomFloatHistograms:
      case RecordType::kHistogramsV2:
      case RecordType::kFloatHistogramsV2: return add_histograms(record);
      default:
        // A checkpoint is published whole: it needs no groups.
        if (!decode_commit_group(record)) ++statistics.unknown_records_dropped;
        return {};
    }
  }

  Status finish() {
    metadata_.clear();
    for (auto& [ref, metadata] : newest_metadata_) metadata_.push_back({ref, std::move(metadata)});
    statistics.metadata_kept = metadata_.size();
    std::span<const RefMetadata> rest = metadata_;
    while (!rest.empty()) {
      const auto batch = rest.first(std::min(rest.size(), kMetadataPerRecord));
      encoded_.clear();
      encode_metadata(batch, encoded_);
      TRY(sink_.add(as_bytes(encoded_)));
      rest = rest.subspan(batch.size());
    }
    return {};
  }

  CheckpointStatistics statistics;

 private:
  bool filter_samples() {
    const std::size_t before = samples_.size();
    filter(samples_, statistics.samples, [&](const RefSample& s) { return s.t >= min_time_; });
    return samples_.size() == before && before > 0;
  }

  template <typename Item>
  Status pass(const std::vector<Item>& items, void (*encode)(std::span<const Item>, std::string&)) {
    if (items.empty()) return {};
    encoded_.clear();
    encode(items, encoded_);
    return sink_.add(as_bytes(encoded_));
  }

  /// A record of which all stays is kept as it is, start timestamps too. Nothing older than
  /// `min_time_` may stay: the deletion that took it does not.
  Status add_histograms(Bytes record) {
    TRY(decode_histograms(record, histograms_));
    const std::size_t before = histograms_.size();
    std::erase_if(histograms_, [&](const RefHistogram& h) { return h.t < min_time_; });
    if (histograms_.empty()) {
      ++statistics.histogram_records.dropped;
      return {};
    }
    ++statistics.histogram_records.kept;
    if (histograms_.size() == before) return sink_.add(record);
    for (const RecordType type :
         {RecordType::kHistograms, RecordType::kCustomHistograms, RecordType::kFloatHistograms,
          RecordType::kCustomFloatHistograms}) {
      const bool has_any =
          std::any_of(histograms_.begin(), histograms_.end(),
                      [&](const RefHistogram& h) { return record_type_of(h.histogram) == type; });
      if (!has_any) continue;
      encoded_.clear();
      encode_histograms(histograms_, type, encoded_);
      TRY(sink_.add(as_bytes(encoded_)));
    }
    return {};
  }

  const Timestamp min_time_;
  const std::function<bool(SeriesRef)>& keep_series_;
  SegmentSink& sink_;
  std::map<SeriesRef, Metadata> newest_metadata_;
  std::vector<RefSeries> series_;
  std::vector<RefSample> samples_;
  std::vector<RefTombstone> tombstones_;
  std::vector<RefExemplar> exemplars_;
  std::vector<RefMetadata> metadata_;
  std::vector<RefHistogram> histograms_;
  std::string encoded_;
};

Result<CheckpointStatistics> condense(FileSystem& files, const std::string& wal_directory,
                                      const std::string& target, const CheckpointPlan& plan,
                                      const std::function<bool(SeriesRef)>& keep_series) {
  const auto reader = TRY(LogReader::open_until(files, wal_directory, plan.last_segment));
  SegmentSink sink(files, target, plan);
  Condenser condenser(plan, keep_series, sink);
  while (reader->next()) {
    Status added = condenser.add(reader->record());
    if (added.code() == Code::kCorruption) {
      return corruption(reader->damage_in_record(added.message()).to_string());
    }
    TRY(std::move(added));
  }
  TRY(Status(reader->status()));
  TRY(condenser.finish());
  TRY(sink.finish());
  condenser.statistics.bytes = sink.bytes();
  return condenser.statistics;
}

Status check_plan(FileSystem& files, const std::string& wal_directory, std::uint32_t last_segment) {
  const auto newest = TRY(find_newest_checkpoint(files, wal_directory));
  if (newest && *newest >= last_segment) {
    return invalid(
        fmt::format("checkpoint {} is there already, {} is not newer", *newest, last_segment));
  }
  if (!files.exists(join_path(wal_directory, segment_name(last_segment)))) {
    return invalid(fmt::format("no segment {} to end a checkpoint with", last_segment));
  }
  return {};
}

Result<std::uint64_t> tree_bytes(FileSystem& files, const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    const std::string path = join_path(directory, entry.name);
    if (entry.is_directory) {
      bytes += TRY(tree_bytes(files, path));
    } else {
      const auto file = TRY(files.open_readable(path, Access::kRead));
      bytes += file->size();
    }
  }
  return bytes;
}

/// Whether the entry is an unfinished checkpoint, or a finished one older than `newest`.
bool is_superseded(const DirectoryEntry& entry, std::uint32_t newest) {
  if (!entry.is_directory) return false;
  std::string_view name = entry.name;
  if (name.ends_with(kTemporarySuffix)) {
    name.remove_suffix(kTemporarySuffix.size());
    return parse_checkpoint_name(name).has_value();
  }
  const auto number = parse_checkpoint_name(name);
  return number && *number < newest;
}

}  // namespace

std::optional<std::uint32_t> choose_checkpoint_end(std::uint32_t first, std::uint32_t active) {
  if (active <= first) return std::nullopt;
  const std::uint32_t end = first + (active - 1 - first) * 2 / 3;
  if (end <= first) return std::nullopt;
  return end;
}

Result<CheckpointStatistics> create_checkpoint(FileSystem& files, const std::string& wal_directory,
                                               const CheckpointPlan& plan,
                                               const std::function<bool(SeriesRef)>& keep_series) {
  TRY(check_plan(files, wal_directory, plan.last_segment));
  const std::string target = join_path(wal_directory, checkpoint_name(plan.last_segment));
  const std::string temporary = target + std::string(kTemporarySuffix);
  TRY(files.remove_all(temporary));
  TRY(files.create_directories(temporary));
  auto statistics = condense(files, wal_directory, temporary, plan, keep_series);
  if (!statistics.ok()) {
    // The first error is the one to tell; what stays is removed with the next checkpoint.
    static_cast<void>(files.remove_all(temporary));
    return statistics;
  }
  TRY(files.rename(temporary, target));
  TRY(files.sync_directory(wal_directory));
  return statistics;
}

Result<std::uint64_t> remove_superseded(FileSystem& files, const std::string& wal_directory) {
  const auto newest = TRY(find_newest_checkpoint(files, wal_directory));
  std::uint64_t freed_bytes = 0;
  for (const std::uint32_t segment : TRY(list_segments(files, wal_directory))) {
    if (!newest || segment > *newest) break;
    const std::string path = join_path(wal_directory, segment_name(segment));
    freed_bytes += TRY(files.open_readable(path, Access::kRead))->size();
    TRY(files.remove_file(path));
    TRY(files.sync_directory(wal_directory));
  }
  for (const DirectoryEntry& entry : TRY(files.list(wal_directory))) {
    if (!is_superseded(entry, newest.value_or(0))) continue;
    const std::string path = join_path(wal_directory, entry.name);
    freed_bytes += TRY(tree_bytes(files, path));
    TRY(files.remove_all(path));
  }
  TRY(files.sync_directory(wal_directory));
  return freed_bytes;
}

}  // namespace tarsier::tsdb
