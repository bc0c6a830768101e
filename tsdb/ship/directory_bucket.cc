#include <algorithm>
#include <functional>
#include <utility>

#include "base/bytes.h"
#include "tsdb/shipping.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
constexpr std::string_view kTemporarySuffix = ".tmp";

class DirectoryBucket final : public Bucket {
 public:
  DirectoryBucket(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  std::string description() const override { return "directory " + directory_; }

  Result<std::map<std::string, std::uint64_t>> list(const std::string& prefix) override {
    std::map<std::string, std::uint64_t> found;
    const std::size_t slash = prefix.rfind('/');
    const std::string below = slash == std::string::npos ? "" : prefix.substr(0, slash + 1);
    TRY(walk(below, prefix, found));
    return found;
  }

  Status put(const std::string& name, std::string_view content) override {
    return publish(name, [&](WritableFile& file) { return file.append(as_bytes(content)); });
  }

  Status put_file(const std::string& name, const ReadableFile& from) override {
    return publish(name, [&](WritableFile& file) -> Status {
      std::vector<std::byte> buffer;
      for (std::uint64_t at = 0; at < from.size(); at += buffer.size()) {
        buffer.resize(
            static_cast<std::size_t>(std::min<std::uint64_t>(from.size() - at, kCopyBytes)));
        TRY(from.read_at(at, buffer));
        TRY(file.append(buffer));
      }
      return {};
    });
  }

 private:
  std::string path_of(std::string_view name) const { return join_path(directory_, name); }

  /// `below` ends with a slash, or is empty.
  Status walk(const std::string& below, const std::string& prefix,
              std::map<std::string, std::uint64_t>& found) {
    const std::string directory = below.empty() ? directory_ : path_of(below);
    if (!files_.exists(directory)) return {};
    for (const DirectoryEntry& entry : TRY(files_.list(directory))) {
      const std::string name = below + entry.name;
      if (entry.is_directory) {
        TRY(walk(name + "/", prefix, found));
      } else if (name.starts_with(prefix) && !name.ends_with(kTemporarySuffix)) {
        found[name] = TRY(files_.open_readable(path_of(name), Access::kRead))->size();
      }
    }
    return {};
  }

  Status publish(const std::string& name, const std::function<Status(WritableFile&)>& fill) {
    const std::string path = path_of(name);
    const std::string temporary = path + std::string(kTemporarySuffix);
    TRY(files_.create_directories(parent_path(path)));
    const auto file = TRY(files_.open_writable(temporary, OpenMode::kTruncate));
    TRY(fill(*file));
    TRY(file->sync());
    TRY(files_.rename(temporary, path));
    // The names of new directories, too.
    for (std::string parent = parent_path(path);; parent = parent_path(parent)) {
      TRY(files_.sync_directory(parent));
      if (parent == directory_ || parent == "." || parent == "/") return {};
    }
  }

  FileSystem& files_;
  const std::string directory_;
};

}  // namespace

std::unique_ptr<Bucket> make_directory_bucket(FileSystem& files, std::string directory) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  return std::make_unique<DirectoryBucket>(files, std::move(directory));
}

}  // namespace tarsier::tsdb
