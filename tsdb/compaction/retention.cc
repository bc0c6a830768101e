#include "tsdb/compaction/retention.h"

#include <algorithm>

namespace tarsier::tsdb {
namespace {

/// The sealed blocks to go, oldest first.
struct Doomed {
  std::vector<Ulid> for_age;
  std::vector<Ulid> for_size;
};

Doomed choose(const BlockList& blocks, const SealedBlockList& sealed,
              const RetentionLimits& limits) {
  Timestamp newest = kMinTimestamp;
  std::uint64_t bytes = 0;
  for (const auto& block : blocks) {
    newest = std::max(newest, block->meta().max_time);
    bytes += block->size_bytes();
  }
  for (const auto& block : sealed) {
    newest = std::max(newest, block->meta().max_time);
    bytes += block->size_bytes();
  }
  SealedBlockList oldest_first = sealed;
  std::sort(oldest_first.begin(), oldest_first.end(),
            [](const auto& a, const auto& b) { return a->meta().max_time < b->meta().max_time; });
  Doomed doomed;
  for (const auto& block : oldest_first) {
    if (limits.time > Duration{} && newest - block->meta().max_time >= limits.time) {
      doomed.for_age.push_back(block->meta().ulid);
    } else if (limits.bytes > 0 && bytes > limits.bytes) {
      doomed.for_size.push_back(block->meta().ulid);
    } else {
      break;
    }
    bytes -= block->size_bytes();
  }
  return doomed;
}

}  // namespace

Result<BlockSet::Expired> apply_retention(BlockSet& blocks, SealedSet& sealed,
                                          const RetentionLimits& limits, Logger& log) {
  const Doomed doomed = choose(*blocks.blocks(), *sealed.blocks(), limits);
  for (const Ulid& ulid : doomed.for_age) {
    TRY(sealed.remove(ulid));
    log.info("Sealed block deleted by retention", {{"ulid", ulid.to_string()}, {"limit", "time"}});
  }
  for (const Ulid& ulid : doomed.for_size) {
    TRY(sealed.remove(ulid));
    log.info("Sealed block deleted by retention", {{"ulid", ulid.to_string()}, {"limit", "size"}});
  }
  // Sealed blocks are older; only when none is left are others too much.
  RetentionLimits left = limits;
  const std::uint64_t sealed_bytes = sealed.size_bytes();
  if (limits.bytes > 0 && sealed_bytes > 0) {
    left.bytes = limits.bytes > sealed_bytes ? limits.bytes - sealed_bytes : 1;
  }
  BlockSet::Expired expired = TRY(blocks.apply_retention(left));
  expired.for_age += doomed.for_age.size();
  expired.for_size += doomed.for_size.size();
  return expired;
}

}  // namespace tarsier::tsdb
