#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "tracing/buffer/held_batch.h"

namespace tarsier::tracing {

/// Batches that were just loaded, the newest few: kept traces come ordered by batch, and a large
/// one that has left memory is read from the log and decoded once for all its traces. Lives as long
/// as one handing over. One thread at a time.
class LoadedBatches final {
 public:
  Result<std::shared_ptr<const SpanBatch>> load(const std::shared_ptr<HeldBatch>& held) {
    const auto found = batches_.find(held.get());
    if (found != batches_.end()) return found->second.second;
    std::shared_ptr<const SpanBatch> batch = TRY(held->load());
    const std::uint64_t size = batch->memory_bytes();
    if (size < kWorthBytes) return batch;
    byte_count_ += size;
    order_.push_back(held.get());
    batches_.emplace(held.get(), std::pair(held, batch));
    while (byte_count_ > kBytesMax && order_.size() > 1) {
      const auto oldest = batches_.find(order_.front());
      byte_count_ -= oldest->second.second->memory_bytes();
      batches_.erase(oldest);
      order_.pop_front();
    }
    return batch;
  }

 private:
  static constexpr std::uint64_t kBytesMax = std::uint64_t{16} << 20;
  /// Smaller ones are rarely out of memory, and quickly read.
  static constexpr std::uint64_t kWorthBytes = std::uint64_t{16} << 10;

  /// By address, which is nobody else's while the holder is held.
  std::unordered_map<const HeldBatch*,
                     std::pair<std::shared_ptr<HeldBatch>, std::shared_ptr<const SpanBatch>>>
      batches_;
  std::deque<const HeldBatch*> order_;
  std::uint64_t byte_count_ = 0;
};

}  // namespace tarsier::tracing
