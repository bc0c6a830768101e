#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/event_counts.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"

namespace tarsier::alerting {

/// Steps of one segment: an hour of 15 s.
inline constexpr std::int64_t kSegmentSteps = 240;
/// The segment that holds a step: segment g is steps g * 240 + 1 to (g + 1) * 240.
constexpr std::int64_t segment_of(std::int64_t step) {
  const std::int64_t n = step - 1;
  return n / kSegmentSteps - (n % kSegmentSteps < 0 ? 1 : 0);
}
constexpr std::int64_t first_step_of(std::int64_t segment) { return segment * kSegmentSteps + 1; }

/// Whose counts: the first half of a SHA-256 of what is counted and for which group.
struct HistoryKey {
  std::array<std::byte, 16> bytes{};
  auto operator<=>(const HistoryKey&) const = default;
};
HistoryKey history_key(std::string_view text);

/// What happened in the steps of one segment.
struct EventSegment {
  HistoryKey key;
  std::int64_t segment = 0;
  EventCounts base;                 ///< Cumulative before its first step.
  std::int64_t measured_from = 0;   ///< The first step that is covered by data, of all segments.
  std::vector<EventCounts> events;  ///< kSegmentSteps.
  bool operator==(const EventSegment&) const = default;
};
std::string encode_segment(const EventSegment& segment);
/// `key` and `segment` are the caller's to fill in. kCorruption when it says nothing sensible.
Result<EventSegment> decode_segment(Bytes bytes);

/// Counts of steps that have left the rings, below `<data>/tarsier/slo`: files that are written
/// once (FORMAT.md). What a later file says of a segment holds. Any number of threads.
class EventHistory final {
 public:
  /// Creates the directory. A damaged file is set aside and reported; one that cannot be read is
  /// reported and stays where it is. Files of another step length count as damaged.
  static Result<std::unique_ptr<EventHistory>> open(FileSystem& files, std::string directory,
                                                    StepClock clock, Logger& log);
  /// Publishes a file; it survives a power cut when this returns.
  Status write(std::vector<EventSegment> segments) EXCLUDES_LOCK(mutex_);
  std::optional<EventSegment> find(const HistoryKey& key, std::int64_t segment) const
      EXCLUDES_LOCK(mutex_);
  /// The newest segment there is of a key.
  std::optional<std::int64_t> newest(const HistoryKey& key) const EXCLUDES_LOCK(mutex_);
  /// Removes files in which everything is before `segment`.
  Status drop_before(std::int64_t segment) EXCLUDES_LOCK(mutex_);
  std::uint64_t size_bytes() const EXCLUDES_LOCK(mutex_);
  std::size_t file_count() const EXCLUDES_LOCK(mutex_);

 private:
  struct File;
  EventHistory(FileSystem& files, std::string directory, StepClock clock, Logger& log);
  Status load(std::uint64_t number);
  void publish(std::uint64_t number, std::shared_ptr<const File> file) REQUIRES_LOCK(mutex_);

  FileSystem& files_;
  const std::string directory_;
  const StepClock clock_;
  Logger& log_;
  mutable Mutex mutex_;
  Mutex writing_;  ///< Taken before `mutex_`: files are written one after the other.
  std::map<std::uint64_t, std::shared_ptr<const File>> files_by_number_ GUARDED_BY(mutex_);
  /// The files that have a segment, oldest first.
  std::map<std::int64_t, std::vector<std::uint64_t>> numbers_by_segment_ GUARDED_BY(mutex_);
  std::uint64_t next_number_ GUARDED_BY(mutex_) = 1;
};

}  // namespace tarsier::alerting
