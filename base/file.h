#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier {

/// A file being written from its start or its end. Destroying it closes it without a sync.
/// One thread at a time.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  /// Appends all of `bytes`. After an error the file's tail is unknown: write no more to it.
  virtual Status append(std::span<const std::byte> bytes) = 0;
  /// Makes everything appended so far survive a power cut (fdatasync). After an error nothing is
  /// known about what reached the disk; asking again would be a lie.
  virtual Status sync() = 0;
};

/// A file of fixed size whose parts are written again and again. What is written survives the
/// process, not a power cut. Any number of threads, each on parts of its own.
class RewritableFile {
 public:
  virtual ~RewritableFile() = default;
  virtual Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
};

/// A file to read at any offset. Any number of threads.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t size() const = 0;
  /// Fills `out` from `offset`. kCorruption when the file ends first, kIo when the disk fails.
  virtual Status read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  /// The whole file as memory if the implementation has it mapped, else an empty span. The view
  /// lives as long as this object. Only files that are never truncated may be opened `mapped`.
  virtual std::span<const std::byte> mapped() const { return {}; }
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
};

/// An exclusive lock on a file, held until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode : unsigned char {
  kTruncate,  ///< Create it, or empty it.
  kAppend,    ///< Create it, or go on at its end.
};
enum class Access : unsigned char { kRead, kMap };

/// All contact with the disk: the first of the three seams. `PosixFileSystem` is the real one;
/// tests use one that forgets what was not synced. Any number of threads. Paths are plain UTF-8
/// strings joined by '/'. Publishing is always: write under a temporary name, sync the file,
/// rename, sync the directory.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                              OpenMode mode) = 0;
  /// Creates the file, or empties it, and fills it with `size` zeroes. kUnavailable where files
  /// only grow.
  virtual Result<std::unique_ptr<RewritableFile>> open_rewritable(const std::string& path,
                                                                  std::uint64_t size);
  virtual Result<std::unique_ptr<ReadableFile>> open_readable(const std::string& path,
                                                              Access access) = 0;
  /// Sorted by name, without "." and "..". kNotFound if there is no such directory.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& directory) = 0;
  virtual bool exists(const std::string& path) = 0;
  /// Also creates missing parents. Existing directories are fine.
  virtual Status create_directories(const std::string& directory) = 0;
  /// Renames a file or directory, replacing a file (not a directory) of the new name.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  /// Gives a file a second name, which must be free. kUnavailable where there are no such names:
  /// then only a copy helps.
  virtual Status link_file(const std::string& from, const std::string& to) = 0;
  /// Removes one file. kNotFound if it is not there.
  virtual Status remove_file(const std::string& path) = 0;
  /// Removes a file or a directory with everything in it; nothing there is success.
  virtual Status remove_all(const std::string& path) = 0;
  virtual Status truncate(const std::string& path, std::uint64_t size) = 0;
  /// Makes creations, renames and removals in `directory` survive a power cut.
  virtual Status sync_directory(const std::string& directory) = 0;
  /// Bytes a caller may still write on the file system that holds `path`.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  /// Takes an exclusive lock without waiting; kUnavailable if another process holds it.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

/// Reads a whole file of at most `size_max` bytes; kLimit when it is larger.
Result<std::string> read_file(FileSystem& files, const std::string& path, std::uint64_t size_max);
/// Publishes `contents` as `path`: temporary file, sync, rename, sync of the directory.
Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view contents);
/// "a/b" + "c" is "a/b/c".
std::string join_path(std::string_view directory, std::string_view name);
/// The part before the last '/', or "." when there is none.
std::string parent_path(std::string_view path);

}  // namespace tarsier
