#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "tsdb/wal/log_format.h"
#include "tsdb/wal/segment_reader.h"

namespace tarsier::tsdb {

/// Where a log cannot be read any further.
struct LogDamage {
  enum class Kind : unsigned char {
    kTornTail,    ///< In the last segment, with nothing behind it: what a crash leaves, never
                  ///< acknowledged.
    kCorruption,  ///< Anywhere else: records that were once whole are lost.
  };
  Kind kind = Kind::kCorruption;
  std::string directory;  ///< The log's, or the checkpoint's inside it.
  std::uint32_t segment = 0;
  std::uint64_t good_bytes = 0;  ///< The segment is whole up to here.
  std::uint64_t offset = 0;      ///< Where in the segment the damage was found.
  std::string reason;

  std::string segment_path() const { return join_path(directory, segment_name(segment)); }
  /// "data/wal/00000003 at 1234: checksum ..., expected ...".
  std::string to_string() const;
};

/// Reads a log in order: the newest checkpoint, then the segments behind it. Ends before the first
/// damage; what it gave out until then is exactly what was appended. One thread at a time.
class LogReader final {
 public:
  struct Limits {
    std::size_t record_bytes_max = kLogRecordBytesMax;
  };

  /// The newest checkpoint of `wal_directory`, if any, and every segment after it. A directory that
  /// is missing is an empty log.
  static Result<std::unique_ptr<LogReader>> open(FileSystem& files,
                                                 const std::string& wal_directory, Limits limits);
  static Result<std::unique_ptr<LogReader>> open(FileSystem& files,
                                                 const std::string& wal_directory) {
    return open(files, wal_directory, Limits());
  }
  /// What is behind `begin`, the end of a record, whatever checkpoint there is.
  static Result<std::unique_ptr<LogReader>> open_from(FileSystem& files,
                                                      const std::string& wal_directory,
                                                      LogPosition begin);
  /// The same as open, without the segments above `last_segment`: what the next checkpoint
  /// replaces.
  static Result<std::unique_ptr<LogReader>> open_until(FileSystem& files,
                                                       const std::string& wal_directory,
                                                       std::uint32_t last_segment);

  /// Steps to the next record. False at the end, at the first damage and when the disk fails:
  /// status() tells which.
  bool next();
  /// REQUIRES: the last next() returned true. Lives until the next one.
  Bytes record() const { return reader_->record(); }
  /// Numbers of the segments behind the checkpoint; nothing if there are none.
  struct Segments {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
  };
  const std::optional<Segments>& segments() const { return segments_; }

  /// Whether the record comes from a checkpoint.
  bool in_checkpoint() const { return place_.in_checkpoint; }
  std::uint32_t segment() const { return place_.segment; }
  /// End of the current record in the log. REQUIRES: not in_checkpoint().
  LogPosition position() const { return log_position(place_.segment, reader_->record_end()); }

  /// Success at the end of the log; kCorruption when damage() is set; else why the disk failed.
  const Status& status() const { return status_; }
  const std::optional<LogDamage>& damage() const { return damage_; }
  /// The damage to repair when it is the current record's contents that make no sense.
  LogDamage damage_in_record(std::string reason) const;

 private:
  struct Place {
    std::string directory;
    std::uint32_t segment = 0;
    std::uint64_t begin = 0;  // Of what is read in it.
    bool in_checkpoint = false;
    bool is_missing = false;  // A gap in the numbers.
    bool is_last = false;     // Of the log.
  };

  LogReader(FileSystem& files, Limits limits) : files_(files), limits_(limits) {}
  static Result<std::unique_ptr<LogReader>> open_range(FileSystem& files,
                                                       const std::string& wal_directory,
                                                       std::uint32_t last_segment, Limits limits);
  Status add_segments(const std::string& directory, std::optional<std::uint32_t> first,
                      std::uint32_t last, bool in_checkpoint);
  Result<std::unique_ptr<SegmentReader>> open_segment(const std::string& path);
  bool open_next();
  bool stop(Status status);
  bool stop_at(LogDamage damage);

  FileSystem& files_;
  const Limits limits_;
  std::optional<Segments> segments_;
  std::deque<Place> ahead_;
  Place place_;
  std::unique_ptr<SegmentReader> reader_;
  Status status_;
  std::optional<LogDamage> damage_;
  bool is_done_ = false;
};

}  // namespace tarsier::tsdb
