#include "server/glob.h"

#include <fnmatch.h>

namespace tarsier::server {

namespace {

enum class EntryKind : unsigned char { kFile, kDirectory };

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[") != text.npos; }

std::vector<std::string> matches(FileSystem& files, const std::string& pattern, EntryKind wanted) {
  const std::size_t slash = pattern.rfind('/');
  const std::string name_pattern = pattern.substr(slash + 1);  // All of it without a slash.
  const std::string parent = slash == std::string::npos ? "" : pattern.substr(0, slash);
  const std::vector<std::string> directories = has_wildcard(parent)
                                                   ? matches(files, parent, EntryKind::kDirectory)
                                                   : std::vector<std::string>{parent};
  std::vector<std::string> out;
  for (const std::string& directory : directories) {
    const std::string place = slash == 0 ? "/" : directory.empty() ? "." : directory;
    const Result<std::vector<DirectoryEntry>> entries = files.list(place);
    if (!entries.ok()) continue;
    for (const DirectoryEntry& entry : *entries) {
      // A link to a directory is told as no directory: listing it shows what it is.
      if (entry.is_directory && wanted == EntryKind::kFile) continue;
      if (::fnmatch(name_pattern.c_str(), entry.name.c_str(), 0) != 0) continue;
      out.push_back(slash == std::string::npos ? entry.name : directory + "/" + entry.name);
    }
  }
  return out;
}

}  // namespace

bool is_valid_glob(std::string_view path) {
  const std::size_t star = path.find('*');
  return star == std::string_view::npos || path.find('/', star) == std::string_view::npos;
}

std::vector<std::string> expand_glob(FileSystem& files, const std::string& pattern) {
  if (!has_wildcard(pattern)) return {pattern};
  return matches(files, pattern, EntryKind::kFile);
}

std::vector<std::string> files_meant(FileSystem& files, std::span<const std::string> arguments) {
  std::vector<std::string> out;
  for (const std::string& argument : arguments) {
    std::vector<std::string> found = expand_glob(files, argument);
    if (found.empty() || files.exists(argument)) found = {argument};
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

}  // namespace tarsier::server
