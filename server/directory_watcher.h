#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tarsier::server {

/// Tells when something in one of some directories was written, renamed or removed (inotify). One
/// thread of its own. What cannot be watched (no such directory, no watches left) is silently left
/// to whoever looks from time to time anyway.
class DirectoryWatcher final {
 public:
  /// `changed` is called on the watcher's thread, once for changes close together.
  explicit DirectoryWatcher(std::function<void()> changed);
  ~DirectoryWatcher();

  /// Replaces the directories. Any thread.
  void watch(const std::vector<std::string>& directories);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarsier::server
