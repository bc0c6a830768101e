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

  /// Serves a block that was published, in place of those it replaces, which are deleted.
  Status add(std::shared_ptr<const SealedBlock> block);
  /// Deletes one block: under a temporary name first, so that a crash leaves no half of it.
  Status remove(const Ulid& ulid);
  /// Adds `range` of every series that passes all `matchers` to what is deleted.
  Status delete_series(const std::vector<Matcher>& matchers, TimeRange range);

  bool has_source(const Ulid& ulid) const;
  /// As BlockSet::complete_until.
  Timestamp complete_until() const;
  /// The greatest end; kMinTimestamp if there is none.
  Timestamp newest_end() const;
  std::uint64_t size_bytes() const;

 private:
  SealedSet(FileSystem& files, const std::string& data_directory, Logger& log);
  Status reload();
  void publish(SealedBlockList blocks);
  Status delete_directory(const Ulid& ulid);

  FileSystem& files_;
  const std::string data_directory_;
  const std::string directory_;
  Logger& log_;
  mutable Mutex mutex_;
  std::shared_ptr<const SealedBlockList> blocks_ GUARDED_BY(mutex_) =
      std::make_shared<SealedBlockList>();
};

}  // namespace tarsier::tsdb
