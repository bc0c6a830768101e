#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "alerting/notifier/state.h"
#include "base/file.h"
#include "base/result.h"

namespace tarsier::alerting {

/// The notifier's log on disk (FORMAT.md, "Notifier log"): frames of records, each whole or not
/// there. One file at a time, `<number>.log`; a new one begins with a snapshot and replaces the
/// old. One thread at a time. After a failed write or sync nothing more is written: every later
/// call gives the same error.
class NotifierLog final {
 public:
  struct Opened {
    std::unique_ptr<NotifierLog> log;
    NotifierState state;
    std::uint64_t torn_bytes = 0;  ///< Cut off behind the last whole frame.
  };
  /// Creates the directory if it is not there. kCorruption when a frame that is whole by its
  /// checksum cannot be read, or the file is none of ours.
  static Result<Opened> open(FileSystem& files, const std::string& directory);

  /// Adds one frame and syncs it. `payload` is encoded records.
  Status commit(std::string_view payload);
  /// Whether the log is mostly history by now.
  bool wants_compaction() const;
  /// Goes on in a new file that begins with `state`.
  Status compact(const NotifierState& state);

  const Status& failure() const { return failure_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  NotifierLog(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}
  std::string path_of(std::uint64_t number) const;
  Status start_file(const NotifierState& state);

  FileSystem& files_;
  const std::string directory_;
  std::uint64_t number_ = 0;
  std::unique_ptr<WritableFile> file_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t snapshot_bytes_ = 0;
  Status failure_;
};

}  // namespace tarsier::alerting
