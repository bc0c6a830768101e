#include "base/posix_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tarsier {
namespace {

Status errno_status(const std::string& path, const char* operation) {
  const int error = errno;
  const std::string message = std::string(operation) + " " + path + ": " + std::strerror(error);
  return error == ENOENT ? not_found(message) : io_error(message);
}

/// Owns a file descriptor.
class Descriptor final {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Status append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        return errno_status(path_, "write");
      }
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status sync() override {
    return ::fdatasync(fd_.get()) == 0 ? Status() : errno_status(path_, "fdatasync");
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixRewritableFile final : public RewritableFile {
 public:
  PosixRewritableFile(Descriptor fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)) {}
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return errno_status(path_, "write");
      }
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(Descriptor fd, std::string path, std::uint64_t size, void* map)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size), map_(map) {}
  ~PosixReadableFile() override {
    if (map_ != nullptr) ::munmap(map_, static_cast<std::size_t>(size_));
  }

  std::uint64_t size() const override { return size_; }

  Status read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t n = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return errno_status(path_, "read");
      }
      if (n == 0) {
        return corruption(path_ + ": ends at " + std::to_string(offset) + ", " +
                          std::to_string(out.size()) + " more bytes expected");
      }
      out = out.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  std::span<const std::byte> mapped() const override {
    if (map_ == nullptr) return {};
    return {static_cast<const std::byte*>(map_), static_cast<std::size_t>(size_)};
  }

 private:
  Descriptor fd_;
  std::string path_;
  std::uint64_t size_;
  void* map_;
};

/// What a pipe or a terminal gave until its end: `<(...)`, /dev/stdin, /dev/null.
class StreamedFile final : public ReadableFile {
 public:
  StreamedFile(std::vector<std::byte> contents, std::string path)
      : contents_(std::move(contents)), path_(std::move(path)) {}

  std::uint64_t size() const override { return contents_.size(); }

  Status read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > contents_.size() || out.size() > contents_.size() - offset) {
      return corruption(path_ + ": ends at " + std::to_string(contents_.size()));
    }
    std::copy_n(contents_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

  std::span<const std::byte> mapped() const override { return contents_; }

 private:
  std::vector<std::byte> contents_;
  std::string path_;
};

constexpr std::size_t kStreamBytesMax = std::size_t{256} << 20;

Result<std::unique_ptr<ReadableFile>> read_stream(const Descriptor& fd, const std::string& path) {
  // It was opened without waiting for somebody to write.
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  std::vector<std::byte> contents;
  std::size_t size = 0;
  while (true) {
    contents.resize(size + (std::size_t{64} << 10));
    const ssize_t n = ::read(fd.get(), contents.data() + size, contents.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_status(path, "read");
    size += static_cast<std::size_t>(n);
    if (n == 0) break;
    if (size > kStreamBytesMax)
      return limit_exceeded("read " + path + ": 256 MiB came without an end: want a file");
  }
  contents.resize(size);
  return std::unique_ptr<ReadableFile>(new StreamedFile(std::move(contents), path));
}

class PosixFileLock final : public FileLock {
 public:
  PosixFileLock(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  /// Removed while still locked, so no other process can see it unlocked and stale.
  ~PosixFileLock() override { ::unlink(path_.c_str()); }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      OpenMode mode) override {
    const int flags =
        O_WRONLY | O_CREAT | O_CLOEXEC | (mode == OpenMode::kTruncate ? O_TRUNC : O_APPEND);
    Descriptor fd(::open(path.c_str(), flags, 0666));
    if (!fd.valid()) return errno_status(path, "open");
    return std::unique_ptr<WritableFile>(new PosixWritableFile(std::move(fd), path));
  }

  Result<std::unique_ptr<RewritableFile>> open_rewritable(const std::string& path,
                                                          std::uint64_t size) override {
    Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!fd.valid()) return errno_status(path, "open");
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return errno_status(path, "truncate");
    return std::unique_ptr<RewritableFile>(new PosixRewritableFile(std::move(fd), path));
  }

  Result<std::unique_ptr<ReadableFile>> open_readable(const std::string& path,
                                                      Access access) override {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) return errno_status(path, "open");
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return errno_status(path, "stat");
    if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) return read_stream(fd, path);
    if (!S_ISREG(info.st_mode)) return invalid("open " + path + ": not a regular file");
    const auto size = static_cast<std::uint64_t>(info.st_size);
    void* map = nullptr;
    if (access == Access::kMap && size > 0) {
      map = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_SHARED, fd.get(), 0);
      if (map == MAP_FAILED) return errno_status(path, "mmap");
      // Read-around on a cold map drags in neighbours nobody asked for (docs/decisions/0002).
      ::madvise(map, static_cast<std::size_t>(size), MADV_RANDOM);
    }
    return std::unique_ptr<ReadableFile>(new PosixReadableFile(std::move(fd), path, size, map));
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override {
    DIR* dir = ::opendir(directory.c_str());
    if (dir == nullptr) return errno_status(directory, "opendir");
    std::vector<DirectoryEntry> entries;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
        struct stat info{};
        is_directory =
            ::stat(join_path(directory, name).c_str(), &info) == 0 && S_ISDIR(info.st_mode);
      }
      entries.push_back({name, is_directory});
    }
    ::closedir(dir);
    std::sort(entries.begin(), entries.end(),
              [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
    return entries;
  }

  bool exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }

  Status create_directories(const std::string& directory) override {
    for (std::size_t end = 1; end <= directory.size(); ++end) {
      if (end != directory.size() && directory[end] != '/') continue;
      const std::string prefix = directory.substr(0, end);
      if (::mkdir(prefix.c_str(), 0777) != 0 && errno != EEXIST) {
        return errno_status(prefix, "mkdir");
      }
    }
    struct stat info{};
    if (::stat(directory.c_str(), &info) != 0) return errno_status(directory, "stat");
    if (!S_ISDIR(info.st_mode)) return io_error("mkdir " + directory + ": Not a directory");
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? Status()
                                                   : errno_status(from + " to " + to, "rename");
  }

  Status link_file(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return {};
    const bool has_no_links =
        errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP;
    Status status = errno_status(from + " to " + to, "link");
    return has_no_links ? unavailable(status.message()) : status;
  }

  Status remove_file(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? Status() : errno_status(path, "unlink");
  }

  Status remove_all(const std::string& path) override {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) {
      return errno == ENOENT ? Status() : errno_status(path, "stat");
    }
    if (!S_ISDIR(info.st_mode)) return remove_file(path);
    for (const DirectoryEntry& entry : TRY(list(path)))
      TRY(remove_all(join_path(path, entry.name)));
    return ::rmdir(path.c_str()) == 0 ? Status() : errno_status(path, "rmdir");
  }

  Status truncate(const std::string& path, std::uint64_t size) override {
    return ::truncate(path.c_str(), static_cast<off_t>(size)) == 0 ? Status()
                                                                   : errno_status(path, "truncate");
  }

  Status sync_directory(const std::string& directory) override {
    const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return errno_status(directory, "open");
    return ::fsync(fd.get()) == 0 ? Status() : errno_status(directory, "fsync");
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return errno_status(path, "statvfs");
    return std::uint64_t{info.f_bavail} * info.f_frsize;
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!fd.valid()) return errno_status(path, "open");
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return unavailable("lock " + path + ": held by another process");
      return errno_status(path, "flock");
    }
    return std::unique_ptr<FileLock>(new PosixFileLock(std::move(fd), path));
  }
};

}  // namespace

std::unique_ptr<FileSystem> make_posix_file_system() { return std::make_unique<PosixFileSystem>(); }

}  // namespace tarsier
