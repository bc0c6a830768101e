#include "tsdb/wal/log_reader.h"

#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint32_t kLastSegment = std::numeric_limits<std::uint32_t>::max();

}  // namespace

std::string LogDamage::to_string() const {
  return fmt::format("{} at {}: {}", segment_path(), offset, reason);
}

Result<std::unique_ptr<LogReader>> LogReader::open(FileSystem& files,
                                                   const std::string& wal_directory,
                                                   Limits limits) {
  return open_range(files, wal_directory, kLastSegment, limits);
}

Result<std::unique_ptr<LogReader>> LogReader::open_until(FileSystem& files,
                                                         const std::string& wal_directory,
                                                         std::uint32_t last_segment) {
  return open_range(files, wal_directory, last_segment, Limits());
}

Result<std::unique_ptr<LogReader>> LogReader::open_from(FileSystem& files,
                                                        const std::string& wal_directory,
                                                        LogPosition begin) {
  std::unique_ptr<LogReader> reader(new LogReader(files, Limits()));
  TRY(reader->add_segments(wal_directory, segment_of(begin), kLastSegment, false));
  if (reader->ahead_.empty()) return reader;
  reader->ahead_.front().begin = offset_of(begin);
  reader->ahead_.back().is_last = true;
  return reader;
}

Result<std::unique_ptr<LogReader>> LogReader::open_range(FileSystem& files,
                                                         const std::string& wal_directory,
                                                         std::uint32_t last_segment,
                                                         Limits limits) {
  std::unique_ptr<LogReader> reader(new LogReader(files, limits));
  if (!files.exists(wal_directory)) return reader;
  const auto checkpoint = TRY(find_newest_checkpoint(files, wal_directory));
  std::optional<std::uint32_t> first;
  if (checkpoint) {
    const std::string directory = join_path(wal_directory, checkpoint_name(*checkpoint));
    TRY(reader->add_segments(directory, 0, kLastSegment, true));
    first = *checkpoint + 1;
  }
  TRY(reader->add_segments(wal_directory, first, last_segment, false));
  if (!reader->ahead_.empty()) reader->ahead_.back().is_last = true;
  return reader;
}

/// Without `first` the log begins wherever it begins. A gap is put in line as a missing segment.
Status LogReader::add_segments(const std::string& directory, std::optional<std::uint32_t> first,
                               std::uint32_t last, bool in_checkpoint) {
  std::optional<std::uint32_t> expected = first;
  for (const std::uint32_t segment : TRY(list_segments(files_, directory))) {
    if (segment < first.value_or(0) || segment > last) continue;
    Place place;
    place.directory = directory;
    place.in_checkpoint = in_checkpoint;
    if (expected && segment != *expected) {
      place.segment = *expected;
      place.is_missing = true;
      ahead_.push_back(place);
      place.is_missing = false;
    }
    place.segment = segment;
    ahead_.push_back(place);
    expected = segment + 1;
    if (in_checkpoint) continue;
    if (!segments_) segments_ = Segments{segment, segment};
    segments_->last = segment;
  }
  return {};
}

bool LogReader::next() {
  while (!is_done_) {
    if (reader_ == nullptr) {
      if (!open_next()) return false;
      continue;
    }
    const std::uint64_t good_bytes = reader_->record_end();
    switch (const SegmentReader::Step step = reader_->next()) {
      case SegmentReader::Step::kRecord: return true;
      case SegmentReader::Step::kEnd: reader_.reset(); break;
      case SegmentReader::Step::kFailed: return stop(reader_->status());
      case SegmentReader::Step::kTorn:
      case SegmentReader::Step::kDamaged: {
        const bool is_tail = step == SegmentReader::Step::kTorn && place_.is_last;
        LogDamage damage;
        damage.kind = is_tail && !place_.in_checkpoint ? LogDamage::Kind::kTornTail
                                                       : LogDamage::Kind::kCorruption;
        damage.directory = place_.directory;
        damage.segment = place_.segment;
        damage.good_bytes = good_bytes;
        damage.offset = reader_->damage_offset();
        damage.reason = reader_->damage_reason();
        return stop_at(std::move(damage));
      }
    }
  }
  return false;
}

Result<std::unique_ptr<SegmentReader>> LogReader::open_segment(const std::string& path) {
  if (place_.begin == 0) return SegmentReader::open(files_, path, limits_.record_bytes_max);
  auto file = TRY(files_.open_readable(path, Access::kRead));
  const std::uint64_t size = file->size();
  if (size < place_.begin) return corruption(path + " ends before what is read of it");
  return SegmentReader::open_range(std::move(file), {place_.begin, size}, limits_.record_bytes_max);
}

bool LogReader::open_next() {
  if (ahead_.empty()) return stop({});
  place_ = std::move(ahead_.front());
  ahead_.pop_front();
  if (place_.is_missing) {
    LogDamage damage;
    damage.directory = place_.directory;
    damage.segment = place_.segment;
    damage.reason = "the segment is missing, but later ones are there";
    return stop_at(std::move(damage));
  }
  const std::string path = join_path(place_.directory, segment_name(place_.segment));
  auto reader = open_segment(path);
  if (!reader.ok()) return stop(reader.status());
  reader_ = std::move(reader).value();
  return true;
}

LogDamage LogReader::damage_in_record(std::string reason) const {
  CHECK(reader_ != nullptr);
  LogDamage damage;
  damage.directory = place_.directory;
  damage.segment = place_.segment;
  damage.good_bytes = reader_->record_begin();
  damage.offset = reader_->record_begin();
  damage.reason = std::move(reason);
  return damage;
}

bool LogReader::stop(Status status) {
  status_ = std::move(status);
  is_done_ = true;
  return false;
}

bool LogReader::stop_at(LogDamage damage) {
  damage_ = std::move(damage);
  return stop(corruption(damage_->to_string()));
}

}  // namespace tarsier::tsdb
