#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "tsdb/sample.h"

namespace tarsier::query {

// A row is one series at every step of a query: plain doubles, one per step. A step without a value
// holds the stale marker's bits, which no computation produces and which storage never hands to a
// function: so presence costs no second array and a loop over a row is a compare and a blend.

inline double absent_value() { return tsdb::stale_marker(); }
inline bool is_absent(double v) { return tsdb::is_stale_marker(v); }
inline bool is_present(double v) { return !tsdb::is_stale_marker(v); }

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
