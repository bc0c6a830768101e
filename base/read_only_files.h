#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace tarsier {

/// A file system of which nothing is changed: what would be written, removed or renamed is passed
/// over as if it had been done. For looking at a directory that somebody else uses, with code that
/// would put it in order. Borrows `files`. Any number of threads.
class ReadOnlyFiles final : public FileSystem {
 public:
  explicit ReadOnlyFiles(FileSystem& files) : files_(files) {}

  /// kUnavailable: there is nothing to write to.
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      OpenMode mode) override;
  Result<std::unique_ptr<ReadableFile>> open_readable(const std::string& path,
                                                      Access access) override {
    return files_.open_readable(path, access);
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override {
    return files_.list(directory);
  }
  bool exists(const std::string& path) override { return files_.exists(path); }
  Status create_directories(const std::string&) override { return {}; }
  Status rename(const std::string&, const std::string&) override { return {}; }
  Status link_file(const std::string&, const std::string&) override { return {}; }
  Status remove_file(const std::string&) override { return {}; }
  Status remove_all(const std::string&) override { return {}; }
  Status truncate(const std::string&, std::uint64_t) override { return {}; }
  Status sync_directory(const std::string&) override { return {}; }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return files_.free_bytes(path);
  }
  /// Locks nothing.
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

 private:
  FileSystem& files_;
};

}  // namespace tarsier
