#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>

#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"
#include "tracing/buffer/span_log.h"
#include "tracing/span.h"

namespace tarsier::tracing {

/// What batches take of memory and do with it, of all of a buffer.
struct HeldBatchAccount {
  std::atomic<std::uint64_t> resident_bytes{0};
  Counter evicted;     ///< Let go before their spans were decided.
  Counter read_again;  ///< Read from the log for a kept trace.
};

/// A batch of which some spans are undecided. It is in the log, so memory is only a cache: the
/// bytes are let go when less than a quarter of them is still undecided (no small span holds a
/// large request), or when memory is short; a kept trace then reads them again. Any number of
/// threads.
class HeldBatch final {
 public:
  /// Both must outlive it.
  HeldBatch(std::shared_ptr<const SpanBatch> batch, SpanLog& log, HeldBatchAccount& account);
  /// Forgets its place in the log.
  ~HeldBatch();
  HeldBatch(const HeldBatch&) = delete;
  HeldBatch& operator=(const HeldBatch&) = delete;

  void set_place(std::shared_ptr<SpanLogPlace> place);
  /// `bytes` more of its spans are undecided.
  void retain(std::uint64_t bytes) { live_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  /// `bytes` of them are decided.
  void release(std::uint64_t bytes);
  /// From memory, else from the log.
  Result<std::shared_ptr<const SpanBatch>> load();
  /// Lets the memory go if the log has the bytes; whether it is gone now.
  bool evict();

 private:
  SpanLog& log_;
  HeldBatchAccount& account_;
  const std::uint64_t wire_bytes_;
  const std::uint64_t memory_bytes_;
  std::atomic<std::uint64_t> live_bytes_{0};
  Mutex mutex_;
  std::shared_ptr<const SpanBatch> resident_ GUARDED_BY(mutex_);
  std::shared_ptr<SpanLogPlace> place_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::tracing
