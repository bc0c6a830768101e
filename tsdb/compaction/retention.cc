#include "tsdb/compaction/retention.h"

#include <algorithm>

namespace tarsier::tsdb {
namespace {

/// One block that may have to go.
struct Candidate {
  DoomedBlock block;
  Timestamp end;
  Duration resolution{0};
  Duration limit{0};
  std::uint64_t bytes = 0;
  bool may_go = true;
  bool is_horizon = false;  ///< Without it the log would be read from an earlier time on.
};

struct Inventory {
  std::vector<Candidate> candidates;
  Timestamp newest = kMinTimestamp;
  std::uint64_t bytes = 0;
};

Duration limit_of(const RetentionPlan& plan, Duration resolution) {
  for (const TierOptions& tier : plan.tiers) {
    if (tier.resolution == resolution) return tier.retention;
  }
  // No longer made: what there is stays as long as the coarsest.
  return plan.tiers.empty() ? plan.samples.time : plan.tiers.back().retention;
}

Inventory take_stock(const RetainedStorage& storage, const RetentionPlan& plan) {
  Inventory all;
  all.newest = newest_end(storage);
  const auto blocks = storage.blocks.blocks();
  for (const auto& block : *blocks) {
    all.bytes += block->size_bytes();
  }
  const Timestamp horizon = storage.sealed.complete_until();
  const auto sealed = storage.sealed.blocks();
  for (const auto& block : *sealed) {
    all.bytes += block->size_bytes();
    all.candidates.push_back(
        {{DoomedBlock::Kind::kSealed, block->meta().ulid},
         block->meta().max_time,
         Duration{0},
         plan.samples.time,
         block->size_bytes(),
         storage.downsampler.is_downsampled(*block),
         block->meta().max_time == horizon && horizon > storage.blocks.complete_until()});
  }
  const auto tiers = storage.tiers.blocks();
  for (const auto& block : *tiers) {
    const Duration resolution = block->meta().resolution;
    all.bytes += block->size_bytes();
    // It would be made again at once.
    const bool has_samples = std::any_of(sealed->begin(), sealed->end(), [&](const auto& one) {
      return !block->meta().orphans && one->meta().ulid == block->meta().sealed;
    });
    all.candidates.push_back({{DoomedBlock::Kind::kTier, block->meta().ulid},
                              block->meta().max_time,
                              resolution,
                              limit_of(plan, resolution),
                              block->size_bytes(),
                              !has_samples});
  }
  // Oldest first, samples before what is made of them.
  std::sort(all.candidates.begin(), all.candidates.end(),
            [](const Candidate& a, const Candidate& b) {
              return std::pair(a.end, a.resolution) < std::pair(b.end, b.resolution);
            });
  return all;
}

}  // namespace

Timestamp newest_end(const RetainedStorage& storage) {
  Timestamp newest = storage.sealed.newest_end();
  const auto blocks = storage.blocks.blocks();
  for (const auto& block : *blocks) newest = std::max(newest, block->meta().max_time);
  const auto tiers = storage.tiers.blocks();
  for (const auto& rows : *tiers) newest = std::max(newest, rows->meta().max_time);
  return newest;
}

RetentionPlan retention_plan(const Options& options) {
  RetentionPlan plan;
  plan.samples = {options.retention, options.retention_bytes};
  plan.tiers = options.tiers;
  Duration least = options.retention;
  for (TierOptions& tier : plan.tiers) {
    const bool is_endless = least <= Duration{} || tier.retention <= Duration{};
    tier.retention = is_endless ? Duration{0} : std::max(tier.retention, least);
    least = tier.retention;
  }
  return plan;
}

std::vector<DoomedBlock> choose_doomed(const RetainedStorage& storage, const RetentionPlan& plan) {
  Inventory all = take_stock(storage, plan);
  std::vector<DoomedBlock> doomed;
  for (const Candidate& candidate : all.candidates) {
    const bool is_sealed = candidate.block.kind == DoomedBlock::Kind::kSealed;
    const bool is_old = candidate.may_go && candidate.limit > Duration{} &&
                        all.newest - candidate.end >= candidate.limit;
    // A disk that is too full to downsample must not stay so.
    const bool is_much =
        (candidate.may_go || is_sealed) && plan.samples.bytes > 0 && all.bytes > plan.samples.bytes;
    if (candidate.is_horizon || (!is_old && !is_much)) continue;
    doomed.push_back(candidate.block);
    doomed.back().is_for_age = is_old;
    all.bytes -= candidate.bytes;
  }
  return doomed;
}

Result<BlockSet::Expired> apply_retention(const RetainedStorage& storage, const RetentionPlan& plan,
                                          Logger& log) {
  BlockSet::Expired expired;
  for (const DoomedBlock& block : choose_doomed(storage, plan)) {
    const bool is_sealed = block.kind == DoomedBlock::Kind::kSealed;
    TRY(is_sealed ? storage.sealed.remove(block.ulid) : storage.tiers.remove(block.ulid));
    ++(block.is_for_age ? expired.for_age : expired.for_size);
    log.info(
        is_sealed ? "Sealed block deleted by retention" : "Downsampled block deleted by retention",
        {{"ulid", block.ulid.to_string()}, {"limit", block.is_for_age ? "time" : "size"}});
  }
  // Sealed blocks are older; only when they leave no room are others too much.
  RetentionLimits left = plan.samples;
  const std::uint64_t others = storage.sealed.size_bytes() + storage.tiers.size_bytes();
  if (left.bytes > 0 && others > 0) left.bytes = left.bytes > others ? left.bytes - others : 1;
  left.complete_elsewhere = storage.sealed.complete_until();
  const BlockSet::Expired blocks = TRY(storage.blocks.apply_retention(left));
  expired.for_age += blocks.for_age;
  expired.for_size += blocks.for_size;
  return expired;
}

}  // namespace tarsier::tsdb
