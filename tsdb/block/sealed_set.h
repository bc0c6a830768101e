#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/sealed_block.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// The sealed blocks of one data directory, as BlockSet has the others. `blocks()` from any thread,
/// everything else from one at a time. Whoever reads takes the list of interchange blocks first and
/// this one after it: a block goes from there only when it is here.
class SealedSet final {
 public:
  /// Removes temporary directories and blocks whose content another one has; sets aside what is
  /// damaged, as BlockSet does. Fails only when the disk does.
  static Result<std::unique_ptr<SealedSet>> open(FileSystem& files,
                                                 const std::string& data_directory, Logger& log);

  std::shared_ptr<const SealedBlockList> blocks() const;
  const std::string& directory() const { return directory_; }
  std::string directory_of(const Ulid& ulid) const;

  /// Serves what was published by somebody who then failed, and deletes what could not be deleted
  /// before. Until then a deletion would go to what such a block replaces, and not to it.
  Status reload();
  /// Serves a block that was published, in place of those it replaces, which are deleted.
  Status add(std::shared_ptr<const SealedBlock> block);
  /// Deletes one block: under a temporary name first, so that a crash leaves no half of it.
  Status remove(const Ulid& ulid);
  /// Replaces what is deleted in a block.
  Status set_tombstones(const Ulid& ulid, Tombstones tombstones);
  /// Adds `range` of every series that passes all `matchers` to what is deleted. Reloads first.
  Status delete_series(const std::vector<Matcher>& matchers, TimeRange range);

  bool has_source(const Ulid& ulid) const;
  /// As BlockSet::complete_until.
  Timestamp complete_until() const;
  /// The greatest end; kMinTimestamp if there is none.
  Timestamp newest_end() const;
  std::uint64_t size_bytes() const;

 private:
  SealedSet(FileSystem& files, const std::string& data_directory, Logger& log);
  Status remove_temporary_directories();
  void publish(SealedBlockList blocks);
  Status delete_doomed();
  Status delete_directory(const Ulid& ulid);

  FileSystem& files_;
  const std::string data_directory_;
  const std::string directory_;
  Logger& log_;
  /// Blocks to delete, first to last: who says that a block is replaced must not go before it.
  std::vector<Ulid> doomed_;
  mutable Mutex mutex_;
  std::shared_ptr<const SealedBlockList> blocks_ GUARDED_BY(mutex_) =
      std::make_shared<SealedBlockList>();
};

}  // namespace tarsier::tsdb
