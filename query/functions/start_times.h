#pragma once

#include <cstdint>
#include <span>

namespace tarsier::query {

// Start timestamps: from when on a counter counts, as its exposer says; 0 is unknown. They tell of
// resets that values cannot show.

struct StartedSample {
  std::int64_t start_ms;
  std::int64_t time_ms;
};

/// Whether the counter began anew between the two. A start right at the previous sample is one only
/// if that sample's own start is known and sane: otherwise it stands for "unknown".
inline bool is_restart(StartedSample previous, StartedSample current) {
  if (current.start_ms == 0 || current.start_ms >= current.time_ms) return false;
  if (current.start_ms != previous.time_ms) return current.start_ms > previous.time_ms;
  return previous.start_ms != 0 && previous.start_ms < previous.time_ms;
}

/// Whether the sample claims to count since before the one it follows, but not since that one did.
inline bool overlaps(StartedSample previous, StartedSample current) {
  return current.start_ms != 0 && current.start_ms < previous.time_ms &&
         current.start_ms != previous.start_ms;
}

/// The samples of one kind with their starts; no starts means none is known.
struct StartedTimes {
  std::span<const std::int64_t> times_ms;
  std::span<const std::int64_t> starts_ms;

  StartedSample at(std::size_t i) const { return {starts_ms[i], times_ms[i]}; }
  bool is_restart_at(std::size_t i) const {
    return !starts_ms.empty() && is_restart(at(i - 1), at(i));
  }
};

}  // namespace tarsier::query
