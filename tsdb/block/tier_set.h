#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "tsdb/block/tier_block.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// The downsampled blocks of one data directory, of all resolutions. `blocks()` from any thread,
/// everything else from one at a time.
class TierSet final {
 public:
  /// As SealedSet::open.
  static Result<std::unique_ptr<TierSet>> open(FileSystem& files, const std::string& data_directory,
                                               Logger& log);

  std::shared_ptr<const TierBlockList> blocks() const;
  const std::string& directory() const { return directory_; }
  std::string directory_of(const Ulid& ulid) const;
  /// As SealedSet::reload.
  Status reload();
  /// Serves a block that was published, in place of those it replaces, which are deleted.
  Status add(std::shared_ptr<const TierBlock> block);
  Status remove(const Ulid& ulid);
  /// Replaces what is deleted in a block.
  Status set_tombstones(const Ulid& ulid, Tombstones tombstones);
  /// Adds `range` of every series that passes all `matchers` to what is deleted. Reloads first.
  Status delete_series(const std::vector<Matcher>& matchers, TimeRange range);
  std::uint64_t size_bytes() const;

 private:
  TierSet(FileSystem& files, const std::string& data_directory, Logger& log);
  Status remove_temporary_directories();
  void publish(TierBlockList blocks);
  Status delete_doomed();
  Status delete_directory(const Ulid& ulid);

  FileSystem& files_;
  const std::string data_directory_;
  const std::string directory_;
  Logger& log_;
  std::vector<Ulid> doomed_;  // Blocks to delete, first to last.
  mutable Mutex mutex_;
  std::shared_ptr<const TierBlockList> blocks_ GUARDED_BY(mutex_) =
      std::make_shared<TierBlockList>();
};

/// What shows through, by time: for every downsampled block that overlaps `wanted` the parts of its
/// time that none of `covered` has, and no block before it in the list either.
struct VisiblePart {
  std::shared_ptr<const TierBlock> block;
  TimeRange range;
};
std::vector<VisiblePart> visible_parts(const TierBlockList& preferred_first,
                                       std::vector<TimeRange> covered, TimeRange wanted);

}  // namespace tarsier::tsdb
