#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace tarsier {

/// A length of time in milliseconds; may be negative.
struct Duration {
  std::int64_t ms = 0;
  auto operator<=>(const Duration&) const = default;
};

/// A moment: milliseconds since 1970-01-01 UTC, the unit samples are stored in. Nothing outside
/// `server` can read a clock: time is always an argument.
struct Timestamp {
  std::int64_t ms = 0;
  auto operator<=>(const Timestamp&) const = default;
};

inline constexpr Timestamp kMinTimestamp{std::numeric_limits<std::int64_t>::min()};
inline constexpr Timestamp kMaxTimestamp{std::numeric_limits<std::int64_t>::max()};
/// What `run_due` returns when nothing is planned.
inline constexpr Timestamp kNever = kMaxTimestamp;

constexpr Duration milliseconds(std::int64_t n) { return {n}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1000}; }
constexpr Duration minutes(std::int64_t n) { return {n * 60'000}; }
constexpr Duration hours(std::int64_t n) { return {n * 3'600'000}; }
constexpr Duration days(std::int64_t n) { return {n * 86'400'000}; }

namespace time_detail {
/// Saturating: the ends of the range mean "for ever", and sums with them stay there.
constexpr std::int64_t add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    return b < 0 ? std::numeric_limits<std::int64_t>::min()
                 : std::numeric_limits<std::int64_t>::max();
  }
  return sum;
}
constexpr std::int64_t subtract(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  if (__builtin_sub_overflow(a, b, &difference)) {
    return b > 0 ? std::numeric_limits<std::int64_t>::min()
                 : std::numeric_limits<std::int64_t>::max();
  }
  return difference;
}
}  // namespace time_detail

constexpr Duration operator+(Duration a, Duration b) { return {time_detail::add(a.ms, b.ms)}; }
constexpr Duration operator-(Duration a, Duration b) { return {time_detail::subtract(a.ms, b.ms)}; }
constexpr Timestamp operator+(Timestamp t, Duration d) { return {time_detail::add(t.ms, d.ms)}; }
constexpr Timestamp operator-(Timestamp t, Duration d) {
  return {time_detail::subtract(t.ms, d.ms)};
}
constexpr Duration operator-(Timestamp a, Timestamp b) {
  return {time_detail::subtract(a.ms, b.ms)};
}

/// Both ends inclusive, like every time range in the Prometheus API.
struct TimeRange {
  Timestamp min = kMinTimestamp;
  Timestamp max = kMaxTimestamp;
  constexpr bool contains(Timestamp t) const { return min <= t && t <= max; }
  constexpr bool overlaps(TimeRange other) const { return min <= other.max && other.min <= max; }
  bool operator==(const TimeRange&) const = default;
};

}  // namespace tarsier
