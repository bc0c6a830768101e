#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"
#include "tsdb/wal_follower.h"

namespace tarsier::tsdb {

/// What followers see of a log that is being written. The functions are for any thread.
struct FollowedLog {
  std::string wal_directory;
  std::string state_directory;  ///< Where positions are kept.
  std::function<LogPosition()> followable;
  std::function<LogPosition()> appended;
  /// Of a series in the head, else empty.
  std::function<Labels(SeriesRef)> labels_of;
};

/// A follower's position as it is stored (FORMAT.md, "Follower position").
std::string encode_follower_position(LogPosition position);
Result<LogPosition> decode_follower_position(std::string_view stored);

/// The followers of one log: makes them, keeps their positions, and knows what of the log they
/// still need. Any thread. Its lock is a leaf.
class FollowerHub final {
 public:
  FollowerHub(FileSystem& files, FollowedLog followed, Logger& log);
  ~FollowerHub();

  /// Keeps the log behind every stored position until its follower is opened or forgotten, and
  /// pulls positions back to `begin`, where this process began its part of the log: what was behind
  /// it a power cut has taken, and the same numbers now mean other records.
  Status adjust_stored(LogPosition begin);
  /// Names with a stored position, sorted.
  Result<std::vector<std::string>> stored() const;
  /// Removes a stored position; none is success.
  Status forget(const std::string& name);

  Result<std::unique_ptr<WalFollower>> follow(FollowerOptions options);
  /// The first segment an open follower needs; none without followers.
  std::optional<std::uint32_t> first_needed_segment() const;
  /// Whether a checkpoint must keep a series that left the head, because its samples may still be
  /// in front of a follower. `log_end` is the end of the log now.
  bool needs_departed(SeriesRef ref, LogPosition log_end);

  // For followers.
  FileSystem& files() { return files_; }
  const FollowedLog& followed() const { return followed_; }
  Logger& log() { return log_; }
  Status store(const std::string& name, LogPosition position);
  void release(std::uint64_t id, LogPosition position);
  void remove(std::uint64_t id);

 private:
  std::string path_of(const std::string& name) const;
  Result<std::optional<LogPosition>> load(const std::string& name);
  std::optional<LogPosition> oldest_needed() const REQUIRES_LOCK(mutex_);

  FileSystem& files_;
  const FollowedLog followed_;
  Logger& log_;
  mutable Mutex mutex_;
  std::uint64_t next_id_ GUARDED_BY(mutex_) = 0;
  std::map<std::uint64_t, LogPosition> needed_ GUARDED_BY(mutex_);  // By follower.
  // Stored when the log was opened, of followers that have not been opened or forgotten since: what
  // a receiver lacks must not be truncated before anybody has asked for it.
  std::map<std::string, LogPosition> awaited_ GUARDED_BY(mutex_);
  // Series a checkpoint found gone from the head, and the end of the log then.
  std::unordered_map<std::uint64_t, LogPosition> departed_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tsdb
