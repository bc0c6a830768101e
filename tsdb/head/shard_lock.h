#pragma once

#include <array>
#include <cstddef>

#include "base/mutex.h"
#include "tsdb/head/series_refs.h"

namespace tarsier::tsdb {

/// Locks of the head's shards: 256 neighbouring slots share one.
inline constexpr std::size_t kHeadShardCount = 64;
inline constexpr std::size_t kHeadShardSlots = 256;
using HeadShards = std::array<Mutex, kHeadShardCount>;

/// Holds the lock of the shard of one slot after the other. Neighbouring slots share it, so a
/// batch of series that were created together changes locks rarely.
class ShardLock final {
 public:
  explicit ShardLock(HeadShards& shards) : shards_(shards) {}
  ~ShardLock() NO_THREAD_SAFETY_ANALYSIS {
    if (held_ != nullptr) held_->unlock();
  }
  ShardLock(const ShardLock&) = delete;
  ShardLock& operator=(const ShardLock&) = delete;

  void hold(Slot slot) NO_THREAD_SAFETY_ANALYSIS {
    Mutex* const wanted = &shards_[slot / kHeadShardSlots % kHeadShardCount];
    if (wanted == held_) return;
    if (held_ != nullptr) held_->unlock();
    held_ = wanted;
    held_->lock();
  }

 private:
  HeadShards& shards_;
  Mutex* held_ = nullptr;
};

}  // namespace tarsier::tsdb
