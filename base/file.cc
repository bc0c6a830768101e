#include "base/file.h"

namespace tarsier {

Result<std::unique_ptr<RewritableFile>> FileSystem::open_rewritable(const std::string& path,
                                                                    std::uint64_t) {
  return unavailable("open " + path + ": this file system only appends");
}

Result<std::string> read_file(FileSystem& files, const std::string& path, std::uint64_t size_max) {
  const auto file = TRY(files.open_readable(path, Access::kRead));
  if (file->size() > size_max) {
    return limit_exceeded(path + ": " + std::to_string(file->size()) + " bytes, at most " +
                          std::to_string(size_max) + " allowed");
  }
  std::string contents(static_cast<std::size_t>(file->size()), '\0');
  TRY(file->read_at(0, std::as_writable_bytes(std::span(contents))));
  return contents;
}

Status write_file_atomically(FileSystem& files, const std::string& path,
                             std::string_view contents) {
  const std::string temporary = path + ".tmp";
  {
    auto file = TRY(files.open_writable(temporary, OpenMode::kTruncate));
    TRY(file->append(std::as_bytes(std::span(contents))));
    TRY(file->sync());
  }
  TRY(files.rename(temporary, path));
  return files.sync_directory(parent_path(path));
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

std::string parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? path.substr(0, 1) : path.substr(0, slash));
}

}  // namespace tarsier
