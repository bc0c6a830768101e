#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace tarsier::tsdb {

/// A float sample as it is stored.
struct Sample {
  Timestamp t;
  double v = 0;
  /// Bitwise: NaN payloads matter.
  bool operator==(const Sample& other) const {
    return t == other.t && std::bit_cast<std::uint64_t>(v) == std::bit_cast<std::uint64_t>(other.v);
  }
};

/// The NaN with this bit pattern says "the series ended here"; compare bits, never values.
inline constexpr std::uint64_t kStaleMarkerBits = 0x7FF0000000000002;
/// What an ordinary NaN is stored as.
inline constexpr std::uint64_t kNormalNanBits = 0x7FF8000000000001;

inline bool is_stale_marker(double v) { return std::bit_cast<std::uint64_t>(v) == kStaleMarkerBits; }
inline double stale_marker() { return std::bit_cast<double>(kStaleMarkerBits); }

/// Samples of one series as columns, in strictly increasing time order: `values[i]` was recorded at
/// `times_ms[i]`. Kept apart because range functions scan them apart.
struct SampleColumns {
  std::vector<std::int64_t> times_ms;
  std::vector<double> values;

  std::size_t size() const { return times_ms.size(); }
  void clear() {
    times_ms.clear();
    values.clear();
  }
  void push_back(Timestamp t, double v) {
    times_ms.push_back(t.ms);
    values.push_back(v);
  }
};

}  // namespace tarsier::tsdb
