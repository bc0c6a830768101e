#include "base/read_only_files.h"

namespace tarsier {

Result<std::unique_ptr<WritableFile>> ReadOnlyFiles::open_writable(const std::string& path,
                                                                   OpenMode) {
  return unavailable("open " + path + ": nothing is written here");
}

Result<std::unique_ptr<FileLock>> ReadOnlyFiles::lock(const std::string&) {
  return std::make_unique<FileLock>();
}

}  // namespace tarsier
