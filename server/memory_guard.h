#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/metric.h"
#include "base/time.h"

namespace tarsier::server {

/// Memory this process may use: what its control group allows, or what the machine has. 0 when
/// neither is known.
std::uint64_t available_memory_bytes();

/// Makes the allocator give memory back: it learns from large pieces that are freed to keep as
/// much, tens of megabytes, for ever. Before threads are started.
void keep_allocator_small();

/// Watches the anonymous memory of the whole process against its limit, and says when it is used
/// up: then no new series are taken until there is room again. Rooms keep to their shares by
/// themselves; this is for all that nobody accounts for. `run_due` is for one scheduler, the rest
/// for any thread.
class MemoryGuard final {
 public:
  /// `set_full` is called when the answer changes. 0 is no limit.
  MemoryGuard(std::uint64_t limit_bytes, std::function<void(bool is_full)> set_full, Logger& log)
      : limit_bytes_(limit_bytes), set_full_(std::move(set_full)), log_(log) {}

  Timestamp run_due(Timestamp now);
  /// What run_due does with what it measured.
  void observe(std::uint64_t anonymous_bytes);
  void collect(MetricWriter& out) const;

 private:
  const std::uint64_t limit_bytes_;
  const std::function<void(bool)> set_full_;
  Logger& log_;
  std::atomic<std::uint64_t> used_bytes_{0};
  bool is_full_ = false;
};

}  // namespace tarsier::server
