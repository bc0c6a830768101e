#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "tsdb/compaction/retention.h"
#include "tsdb/compaction/retention_rules.h"

namespace tarsier::tsdb {

/// Lets the samples and rows of some series go before those of the others in their block, as
/// RetentionRules say. Whole blocks are apply_retention's.
///
/// Samples of a sealed block that was downsampled go in three steps, each on the disk before the
/// next: their rows are copied into downsampled blocks of their own (orphans), which serve beside
/// whatever has the others; then they are deleted from the sealed block, which makes the orphans
/// count; then their rows are deleted where they came from. A crash in between leaves what can be
/// gone on with: orphans that do not count are removed. Space comes back when the block is sealed
/// anew, as after any deletion. Samples of interchange blocks go only where no rows are wanted.
///
/// Made by the database, driven by its maintenance thread.
class SeriesRetention final {
 public:
  SeriesRetention(FileSystem& files, const Options& options, const RetainedStorage& storage,
                  Logger& log);

  /// Does what is due in one block. False when there is nothing.
  Result<bool> run_due(const std::function<Ulid()>& next_ulid);

  /// What would go: so many series of one block.
  struct Doom {
    enum class Kind : unsigned char { kBlock, kSealed, kTier };
    Kind kind;
    Ulid ulid;
    std::size_t series_count = 0;
  };
  Result<std::vector<Doom>> plan() const;

 private:
  /// A bit for every rule.
  using RuleSet = std::vector<bool>;
  RuleSet due_rules(Duration resolution, Timestamp end, Timestamp newest) const;
  RuleSet due_partly(Duration resolution, Timestamp end, Timestamp newest) const;
  RuleSet due_in_block(const Block& block, Timestamp newest) const;
  Result<std::vector<std::uint32_t>> due_series(const IndexReader& index,
                                                const Tombstones& tombstones,
                                                const RuleSet& rules) const;
  bool is_known(const Ulid& ulid, const RuleSet& rules) const;

  Status remove_unused_orphans();
  Result<bool> drop_from_sealed(const std::shared_ptr<const SealedBlock>& block, Timestamp newest,
                                const std::function<Ulid()>& next_ulid);
  Result<bool> drop_from_rows(const std::shared_ptr<const TierBlock>& rows, Timestamp newest,
                              const std::function<Ulid()>& next_ulid);
  Result<bool> drop_from_block(const std::shared_ptr<const Block>& block, Timestamp newest);
  Status write_orphans(const SealedBlock& block, const RuleSet& dropped, std::uint32_t probe,
                       Timestamp newest, const std::function<Ulid()>& next_ulid);
  Status hide_rows(const SealedBlock& block, const RuleSet& dropped);
  Result<bool> rewrite(const TierBlock& rows, const std::function<Ulid()>& next_ulid);

  FileSystem& files_;
  const RetentionRules rules_;
  const RetainedStorage storage_;
  Logger& log_;
  /// What was looked at and had nothing more for these rules.
  std::map<Ulid, RuleSet> known_;
};

}  // namespace tarsier::tsdb
