#pragma once

#include <span>

#include "tracing/trace_id.h"

namespace tarsier::tracing {

/// Whether somebody can follow a link to this trace later.
enum class PinOutcome : unsigned char {
  kPinned,   ///< Undecided: it will be kept because of this.
  kKept,     ///< Decided already, and kept.
  kDropped,  ///< Decided already, and gone.
  kUnknown,  ///< Not here, and not remembered.
};

/// An exemplar of ours must lead to a kept trace: whoever chooses one asks here, before it shows
/// the exemplar to anybody. Any number of threads; waits for no disk.
class TracePins {
 public:
  virtual ~TracePins() = default;
  /// Asks that these traces be kept; `outcomes[i]` is for `traces[i]`. REQUIRES: equal sizes.
  virtual void pin(std::span<const TraceId> traces, std::span<PinOutcome> outcomes) = 0;
};

}  // namespace tarsier::tracing
