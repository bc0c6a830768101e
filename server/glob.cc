#include "server/glob.h"

#include <fnmatch.h>

namespace tarsier::server {

bool is_valid_glob(std::string_view path) {
  const std::size_t star = path.find('*');
  return star == std::string_view::npos || path.find('/', star) == std::string_view::npos;
}

std::vector<std::string> expand_glob(FileSystem& files, const std::string& pattern) {
  if (pattern.find('*') == std::string::npos) return {pattern};
  std::vector<std::string> found;
  const std::string directory = parent_path(pattern);
  const std::string name_pattern = pattern.substr(pattern.rfind('/') + 1);
  const Result<std::vector<DirectoryEntry>> entries = files.list(directory);
  if (!entries.ok()) return found;
  for (const DirectoryEntry& entry : *entries) {
    if (!entry.is_directory && ::fnmatch(name_pattern.c_str(), entry.name.c_str(), 0) == 0) {
      const bool is_bare = pattern.find('/') == std::string::npos;
      found.push_back(is_bare ? entry.name : join_path(directory, entry.name));
    }
  }
  return found;
}

}  // namespace tarsier::server
