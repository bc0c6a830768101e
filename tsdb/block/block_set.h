#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/block.h"

namespace tarsier::tsdb {

class ChangeLog;

/// Where damaged blocks are put, below the data directory.
inline constexpr std::string_view kDamagedDirectory = "tarsier/damaged";

/// What decides which blocks are too many. 0 is no limit.
struct RetentionLimits {
  Duration time;
  std::uint64_t bytes = 0;  ///< For all blocks together.
  /// Blocks of another kind have everything before.
  Timestamp complete_elsewhere = kMinTimestamp;
};

/// The blocks that `limits` no longer allow, of `blocks` in any order: those that end at least
/// `time` before the newest end; and, counting from the newest, the one that first exceeds `bytes`
/// and all older ones. The newest complete one stays whatever it takes: without it the next start
/// would take the log for what is in no block, and bring back what had left it.
std::vector<Ulid> blocks_to_expire(const BlockList& blocks, const RetentionLimits& limits);

/// The blocks of one data directory. Whoever reads takes `blocks()`, a list that never changes; a
/// block removed meanwhile stays readable for those who hold it, because its files stay open (its
/// directory goes at once). `blocks()` from any thread, everything else from one at a time.
class BlockSet final {
 public:
  /// Removes temporary directories, opens every block, and puts the directory in order:
  ///  - a directory without meta.json is an unfinished remnant, left alone and reported;
  ///  - a block whose meta.json has a version nobody knows is left alone and reported; version 2 is
  ///    an error of Prometheus 2.1 and put right, as Prometheus does;
  ///  - a block that is damaged is moved to kDamagedDirectory and reported, the rest serves;
  ///  - blocks that were folded into an opened one (its parents), or are marked deletable, are
  ///    deleted.
  /// Fails only when the disk does: a block that cannot be read for another reason than damage is
  /// neither served nor touched silently.
  static Result<std::unique_ptr<BlockSet>> open(FileSystem& files, std::string data_directory,
                                                Logger& log);

  std::shared_ptr<const BlockList> blocks() const;
  /// Where it is noted from now on when blocks come or go.
  void attach_changes(ChangeLog* changes) { changes_ = changes; }

  /// Looks at the directory again: opens what is new, drops what is gone, and puts it in order as
  /// open does. A new block's name is synced before it serves; what is replaced goes oldest first.
  Status reload();
  struct Expired {
    std::size_t for_age = 0;
    std::size_t for_size = 0;
  };
  /// Deletes what is too old or too much. Returns how many went.
  Result<Expired> apply_retention(const RetentionLimits& limits);
  enum class Mark : unsigned char { kDeletable, kCompactionFailed };
  /// Writes a mark into the block's meta.json and publishes the block with it. Fields of meta.json
  /// that we do not know are lost, as when Prometheus marks.
  Status mark(const Ulid& ulid, Mark mark);
  /// Replaces what is deleted in a block: the tombstones file, then their number in meta.json, then
  /// the published block. A crash in between leaves the old or the new tombstones.
  Status set_tombstones(const Ulid& ulid, Tombstones tombstones);
  /// Deletes one block: under a temporary name first, so that a crash leaves no half of it. Parents
  /// of it that are still there go before it.
  Status remove(const Ulid& ulid);

  /// The greatest end of a block that holds all there was of its time; kMinTimestamp if there is
  /// none. Older samples in the log are already in blocks.
  Timestamp complete_until() const;

 private:
  BlockSet(FileSystem& files, std::string data_directory, Logger& log)
      : files_(files), data_directory_(std::move(data_directory)), log_(log) {}
  Status remove_temporary_directories();
  Result<bool> has_known_version(const std::string& name);
  Status set_aside(const std::string& name, const Status& why);
  Status delete_directory(const std::string& name);
  Status write_meta(const BlockMeta& meta);
  void publish(BlockList blocks);
  void note_difference(const BlockList& before, const BlockList& now) const;

  FileSystem& files_;
  const std::string data_directory_;
  Logger& log_;
  ChangeLog* changes_ = nullptr;
  std::set<std::string> reported_remnants_;  // Told once, not at every reload.

  mutable Mutex mutex_;
  std::shared_ptr<const BlockList> blocks_ GUARDED_BY(mutex_) = std::make_shared<BlockList>();
};

}  // namespace tarsier::tsdb
