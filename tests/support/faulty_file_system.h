#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace tarsier::testing {

/// A disk in memory that forgets what was not synced, and fails when told to.
///
/// The fault model:
///  1. What `sync()` covered of a file, and what `sync_directory()` covered of a directory,
///  survives
///     every power cut. A file's sync says nothing of its name; a directory's sync nothing of
///     contents.
///  2. Of bytes appended since the last sync a prefix of any length survives; up to three of its
///  last
///     512-byte sectors may hold zeros or garbage instead (never sectors with synced bytes).
///  3. A truncation that was not synced happened or did not. If it did not, nothing appended after
///     it survives either.
///  4. Of unsynced creations, renames and removals either a prefix (in the order they were made) or
///     any subset survives. One that builds on a lost one is lost with it. A rename is atomic:
///     after a power cut the file has its old name or its new one. It is made durable by syncing
///     the directory it went into.
///  5. A power cut "at operation k": that operation reaches the disk like any unsynced one (a sync
///     made nothing durable) but reports kIo; every later operation, reads too, reports kIo and
///     does nothing.
///  6. A sync that fails has lost the bytes it was to cover: they still read back until the power
///     goes, and never become durable; later syncs succeed and leave zeros in their place.
///  7. A full disk takes what fits of an append and then reports kIo.
///  8. A process crash loses nothing that was written, and syncs nothing.
///
/// Every mutating call is one operation: creating or emptying a file, append, sync, rename, each
/// entry removed, truncate, sync_directory, each directory created. The same calls and the same
/// seed give the same survivors. Any number of threads. Paths are relative to a root that always
/// exists.
class FaultyFileSystem final : public FileSystem {
 public:
  FaultyFileSystem();
  ~FaultyFileSystem() override;

  /// Operations so far.
  std::uint64_t operation_count() const;
  /// The operation with this number, counted from 1, is the one the power cut hits. 0: none.
  void cut_power_at(std::uint64_t operation);
  bool power_is_cut() const;
  /// Of all file syncs to come the n-th (from 1) fails. 0: none.
  void fail_sync(std::uint64_t n);
  /// Of all appends to come the n-th (from 1) fails, half written. 0: none.
  void fail_append(std::uint64_t n);
  /// Of all reads to come the n-th (from 1) fails. 0: none.
  void fail_read(std::uint64_t n);
  /// Only this many more bytes fit. Removing files makes no room.
  void fill_disk_after(std::uint64_t bytes);

  /// What a machine finds that comes up after losing power now. This object is left as it was.
  std::unique_ptr<FaultyFileSystem> after_power_cut(std::uint64_t seed) const;
  /// What the next process finds on the same machine: everything written, synced or not.
  std::unique_ptr<FaultyFileSystem> after_process_crash() const;

  /// Every file, as "path: size" lines, for messages of failed tests.
  std::string describe() const;

  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      OpenMode mode) override;
  Result<std::unique_ptr<ReadableFile>> open_readable(const std::string& path,
                                                      Access access) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override;
  bool exists(const std::string& path) override;
  Status create_directories(const std::string& directory) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status link_file(const std::string& from, const std::string& to) override;
  Status remove_file(const std::string& path) override;
  Status remove_all(const std::string& path) override;
  Status truncate(const std::string& path, std::uint64_t size) override;
  Status sync_directory(const std::string& directory) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

  struct Disk;  ///< Known to the source only.

 private:
  explicit FaultyFileSystem(std::shared_ptr<Disk> disk);
  const std::shared_ptr<Disk> disk_;
};

}  // namespace tarsier::testing
