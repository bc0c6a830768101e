#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/sealed_set.h"
#include "tsdb/block/tier_set.h"
#include "tsdb/compaction/retention_rules.h"

namespace tarsier::tsdb {

/// Makes a downsampled block of every resolution for every sealed block, from its samples. When a
/// sealed block takes the place of others (grown, or late samples folded in), what was made of them
/// is made anew. A series whose retention wants no rows has none. Made by the database, driven by
/// its maintenance thread; `cancel` from any thread.
class Downsampler final {
 public:
  Downsampler(FileSystem& files, const Options& options, SealedSet& sealed, TierSet& tiers,
              Logger& log);

  /// Makes one block, if one is missing. False when there is nothing to do.
  Result<bool> run_due(const std::function<Ulid()>& next_ulid);
  /// Whether everything is made of a sealed block that shall be, so that it may go.
  bool is_downsampled(const SealedBlock& block) const;
  void cancel() { cancel_.cancel(); }

 private:
  bool has_tier(const SealedBlock& block, Duration resolution) const;
  Status make(const std::shared_ptr<const SealedBlock>& block, Duration resolution,
              const Ulid& ulid);

  FileSystem& files_;
  const RetentionRules rules_;
  std::vector<Duration> resolutions_;
  SealedSet& sealed_;
  TierSet& tiers_;
  Logger& log_;
  CancelToken cancel_;
};

}  // namespace tarsier::tsdb
