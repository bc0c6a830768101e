#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {
struct FloatHistogram;
}

namespace tarsier::query {

// A row is one series at every step of a query: plain doubles, one per step. A step without a value
// holds the stale marker's bits, which no computation produces and which storage never hands to a
// function: so presence costs no second array and a loop over a row is a compare and a blend.

inline double absent_value() { return tsdb::stale_marker(); }
inline bool is_absent(double v) { return tsdb::is_stale_marker(v); }
inline bool is_present(double v) { return !tsdb::is_stale_marker(v); }

// A native histogram is a reference in a row: a signalling NaN, which no computation produces
// either, whose low bits are its address. So whatever only moves values (set operators,
// relabelling, grouping, merging) moves histograms too and knows nothing of them; and streams that
// cannot have any (VectorStream::may_have_histograms) are read by kernels that never look.

inline constexpr std::uint64_t kHistogramTag = 0x7FF4;

inline bool is_histogram(double v) {
  return std::bit_cast<std::uint64_t>(v) >> 48 == kHistogramTag;
}
/// Whether there is a number.
inline bool is_float(double v) { return is_present(v) && !is_histogram(v); }
/// The cell of `h`, which must outlive it and is not changed through it.
inline double histogram_cell(const tsdb::FloatHistogram& h) {
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&h));
  DCHECK(address >> 48 == 0);
  return std::bit_cast<double>(kHistogramTag << 48 | address);
}
/// REQUIRES: is_histogram(v).
inline const tsdb::FloatHistogram& histogram_in(double v) {
  const std::uint64_t address = std::bit_cast<std::uint64_t>(v) & 0x0000'FFFF'FFFF'FFFF;
  return *reinterpret_cast<const tsdb::FloatHistogram*>(static_cast<std::uintptr_t>(address));
}
/// What storage holds, made safe: a foreign NaN must not look like a histogram.
inline double as_float(double v) {
  return is_histogram(v) ? std::bit_cast<double>(tsdb::kNormalNanBits) : v;
}

/// The times a query, or a subquery inside it, is evaluated at.
struct Grid {
  std::int64_t start_ms = 0;
  std::int64_t step_ms = 0;  ///< 0 when there is one step only.
  std::size_t count = 1;

  std::int64_t time_ms(std::size_t step) const {
    return start_ms + static_cast<std::int64_t>(step) * step_ms;
  }
  std::int64_t end_ms() const { return count == 0 ? start_ms : time_ms(count - 1); }
};

}  // namespace tarsier::query
