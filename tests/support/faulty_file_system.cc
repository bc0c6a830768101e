#include "tests/support/faulty_file_system.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/mutex.h"

namespace tarsier::testing {
namespace {

constexpr std::size_t kSectorBytes = 512;

using InodeId = std::size_t;
using Entries = std::map<std::string, InodeId>;

struct Inode {
  bool is_directory = false;

  std::string contents;          // What a read sees.
  std::string durable;           // What the disk holds for certain.
  std::size_t common_bytes = 0;  // `contents` and `durable` agree up to here.
  std::vector<std::pair<std::size_t, std::size_t>> lost;  // [begin, end) of failed syncs.

  Entries entries;
  Entries durable_entries;
};

/// A change of directory entries that no sync_directory has covered yet.
struct Change {
  InodeId directory = 0;  // The one whose sync makes it durable.
  std::string name;       // In `directory`.
  InodeId inode = 0;
  bool is_removal = false;
  bool is_rename = false;
  InodeId from_directory = 0;
  std::string from_name;
};

/// Applies `change` to the entries on disk, unless it builds on one that was lost.
void apply_change(const Change& change, std::vector<Inode>& inodes) {
  Entries& entries = inodes[change.directory].durable_entries;
  if (change.is_removal) {
    const auto found = entries.find(change.name);
    if (found == entries.end() || found->second != change.inode) return;
    entries.erase(found);
    return;
  }
  if (change.is_rename) {
    Entries& from = inodes[change.from_directory].durable_entries;
    const auto found = from.find(change.from_name);
    if (found == from.end() || found->second != change.inode) return;
    from.erase(found);
  }
  entries[change.name] = change.inode;
}

/// The contents of a file after the power cut (points 1 to 3).
std::string survivor(const Inode& file, std::mt19937_64& random) {
  const bool truncated = file.common_bytes < file.durable.size();
  if (truncated && random() % 2 == 0) return file.durable;
  const std::size_t unsynced_bytes = file.contents.size() - file.common_bytes;
  if (unsynced_bytes == 0) return file.durable.substr(0, file.common_bytes);
  // Nothing and everything are the likeliest outcomes; both must be frequent.
  const std::uint64_t kind = random() % 4;
  const std::size_t kept_bytes = kind == 0   ? 0
                                 : kind == 1 ? unsynced_bytes
                                             : random() % (unsynced_bytes + 1);
  // The synced part comes from the disk: after a failed sync it is not what a read saw.
  std::string out = file.durable.substr(0, file.common_bytes);
  out += std::string_view(file.contents).substr(file.common_bytes, kept_bytes);
  std::size_t end = out.size();
  for (std::uint64_t torn = random() % 4; torn > 0 && end > file.common_bytes; --torn) {
    const std::size_t sector = (end - 1) / kSectorBytes * kSectorBytes;
    const std::size_t begin = std::max(sector, file.common_bytes);
    const bool zeros = random() % 2 == 0;
    for (std::size_t i = begin; i < end; ++i) out[i] = zeros ? '\0' : static_cast<char>(random());
    end = begin;
  }
  return out;
}

}  // namespace

struct FaultyFileSystem::Disk {
  mutable Mutex mutex;
  std::vector<Inode> inodes GUARDED_BY(mutex);  // 0 is the root. Never shrinks.
  std::vector<Change> changes GUARDED_BY(mutex);
  std::set<std::string> locks GUARDED_BY(mutex);
  std::uint64_t operation_count GUARDED_BY(mutex) = 0;
  std::uint64_t cut_at GUARDED_BY(mutex) = 0;
  bool power_is_cut GUARDED_BY(mutex) = false;
  std::uint64_t syncs_until_failure GUARDED_BY(mutex) = 0;
  std::uint64_t appends_until_failure GUARDED_BY(mutex) = 0;
  std::uint64_t reads_until_failure GUARDED_BY(mutex) = 0;
  std::uint64_t bytes_left GUARDED_BY(mutex) = std::numeric_limits<std::int64_t>::max();

  /// Counts one operation. An error means the power was gone before it.
  Status begin_operation() REQUIRES_LOCK(mutex) {
    TRY(need_power());
    ++operation_count;
    if (operation_count == cut_at) power_is_cut = true;
    return {};
  }
  Status need_power() const REQUIRES_LOCK(mutex) {
    return power_is_cut ? io_error("the power is cut") : Status();
  }
  /// How an operation that was carried out ends: with an error if the power went during it.
  Status end_operation() const REQUIRES_LOCK(mutex) { return need_power(); }

  struct Place {
    InodeId directory = 0;
    std::string name;  // Empty: the root itself.
    std::optional<InodeId> inode;
  };

  /// kNotFound if a directory on the way is missing. The last component may be missing.
  Result<Place> find(const std::string& path) const REQUIRES_LOCK(mutex) {
    Place place;
    place.inode = 0;
    for (std::size_t begin = 0; begin <= path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      const std::string name = path.substr(begin, end - begin);
      begin = end + 1;
      if (name.empty() || name == ".") continue;
      if (!place.inode || !inodes[*place.inode].is_directory) return not_found(path);
      place.directory = *place.inode;
      place.name = name;
      const Entries& entries = inodes[place.directory].entries;
      const auto found = entries.find(name);
      place.inode = found == entries.end() ? std::nullopt : std::optional(found->second);
    }
    return place;
  }

  Result<InodeId> find_existing(const std::string& path, bool is_directory) const
      REQUIRES_LOCK(mutex) {
    const Place place = TRY(find(path));
    if (!place.inode || inodes[*place.inode].is_directory != is_directory) return not_found(path);
    return *place.inode;
  }

  InodeId create(const Place& place, bool is_directory) REQUIRES_LOCK(mutex) {
    const InodeId id = inodes.size();
    inodes.emplace_back().is_directory = is_directory;
    inodes[place.directory].entries[place.name] = id;
    Change change;
    change.directory = place.directory;
    change.name = place.name;
    change.inode = id;
    changes.push_back(std::move(change));
    return id;
  }

  void remove_entry(const Place& place) REQUIRES_LOCK(mutex) {
    inodes[place.directory].entries.erase(place.name);
    Change change;
    change.directory = place.directory;
    change.name = place.name;
    change.inode = *place.inode;
    change.is_removal = true;
    changes.push_back(std::move(change));
  }

  Status remove_tree(const Place& place, const std::string& path) REQUIRES_LOCK(mutex) {
    if (inodes[*place.inode].is_directory) {
      const Entries entries = inodes[*place.inode].entries;
      for (const auto& [name, id] : entries) {
        Place child;
        child.directory = *place.inode;
        child.name = name;
        child.inode = id;
        TRY(remove_tree(child, join_path(path, name)));
      }
    }
    TRY(begin_operation());
    remove_entry(place);
    return end_operation();
  }

  void set_size(Inode& file, std::size_t size) REQUIRES_LOCK(mutex) {
    file.contents.resize(size);
    file.common_bytes = std::min(file.common_bytes, size);
    for (auto& [begin, end] : file.lost) {
      begin = std::min(begin, size);
      end = std::min(end, size);
    }
  }

  /// Makes the changes of `directory` durable, with what they build on (an earlier name elsewhere).
  void sync_entries(InodeId directory) REQUIRES_LOCK(mutex) {
    std::set<InodeId> moved_here;
    for (const Change& change : changes) {
      if (change.directory == directory && change.is_rename) moved_here.insert(change.inode);
    }
    std::vector<Change> rest;
    for (Change& change : changes) {
      if (change.directory == directory || moved_here.contains(change.inode)) {
        apply_change(change, inodes);
      } else {
        rest.push_back(std::move(change));
      }
    }
    changes = std::move(rest);
  }
};

namespace {

using Disk = FaultyFileSystem::Disk;

class FaultyWritableFile final : public WritableFile {
 public:
  FaultyWritableFile(std::shared_ptr<Disk> disk, InodeId id, std::string path)
      : disk_(std::move(disk)), id_(id), path_(std::move(path)) {}

  Status append(std::span<const std::byte> bytes) override {
    Disk& disk = *disk_;
    const MutexLock lock(disk.mutex);
    TRY(disk.begin_operation());
    std::string_view text = as_text(bytes);
    Status fault;
    if (disk.appends_until_failure > 0 && --disk.appends_until_failure == 0) {
      text = text.substr(0, text.size() / 2);
      fault = io_error("write " + path_ + ": Input/output error");
    }
    if (text.size() > disk.bytes_left) {
      text = text.substr(0, static_cast<std::size_t>(disk.bytes_left));
      fault = io_error("write " + path_ + ": No space left on device");
    }
    disk.bytes_left -= text.size();
    disk.inodes[id_].contents += text;
    TRY(disk.end_operation());
    return fault;
  }

  Status sync() override {
    Disk& disk = *disk_;
    const MutexLock lock(disk.mutex);
    TRY(disk.begin_operation());
    TRY(disk.end_operation());
    Inode& file = disk.inodes[id_];
    if (disk.syncs_until_failure > 0 && --disk.syncs_until_failure == 0) {
      if (file.common_bytes < file.contents.size()) {
        file.lost.emplace_back(file.common_bytes, file.contents.size());
      }
      return io_error("fdatasync " + path_ + ": Input/output error");
    }
    file.durable = file.contents;
    file.common_bytes = file.contents.size();
    for (const auto& [begin, end] : file.lost) {
      for (std::size_t i = begin; i < std::min(end, file.durable.size()); ++i) {
        file.durable[i] = '\0';
      }
    }
    return {};
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const InodeId id_;
  const std::string path_;
};

class FaultyReadableFile final : public ReadableFile {
 public:
  FaultyReadableFile(std::shared_ptr<Disk> disk, InodeId id, std::string path)
      : disk_(std::move(disk)), id_(id), path_(std::move(path)) {
    const MutexLock lock(disk_->mutex);
    size_ = disk_->inodes[id_].contents.size();
  }

  std::uint64_t size() const override { return size_; }

  Status read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const MutexLock lock(disk_->mutex);
    TRY(disk_->need_power());
    if (disk_->reads_until_failure > 0 && --disk_->reads_until_failure == 0) {
      return io_error("read " + path_ + ": Input/output error");
    }
    const std::string& contents = disk_->inodes[id_].contents;
    if (offset > contents.size() || out.size() > contents.size() - offset) {
      return corruption(path_ + ": ends at " + std::to_string(contents.size()));
    }
    if (!out.empty()) std::memcpy(out.data(), contents.data() + offset, out.size());
    return {};
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const InodeId id_;
  const std::string path_;
  std::uint64_t size_ = 0;
};

class FaultyFileLock final : public FileLock {
 public:
  FaultyFileLock(std::shared_ptr<Disk> disk, std::string path)
      : disk_(std::move(disk)), path_(std::move(path)) {}
  ~FaultyFileLock() override {
    const MutexLock lock(disk_->mutex);
    disk_->locks.erase(path_);
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const std::string path_;
};

}  // namespace

FaultyFileSystem::FaultyFileSystem() : disk_(std::make_shared<Disk>()) {
  const MutexLock lock(disk_->mutex);
  disk_->inodes.emplace_back().is_directory = true;
}
FaultyFileSystem::FaultyFileSystem(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}
FaultyFileSystem::~FaultyFileSystem() = default;

std::uint64_t FaultyFileSystem::operation_count() const {
  const MutexLock lock(disk_->mutex);
  return disk_->operation_count;
}

void FaultyFileSystem::cut_power_at(std::uint64_t operation) {
  const MutexLock lock(disk_->mutex);
  disk_->cut_at = operation;
}

bool FaultyFileSystem::power_is_cut() const {
  const MutexLock lock(disk_->mutex);
  return disk_->power_is_cut;
}

void FaultyFileSystem::fail_sync(std::uint64_t n) {
  const MutexLock lock(disk_->mutex);
  disk_->syncs_until_failure = n;
}

void FaultyFileSystem::fail_append(std::uint64_t n) {
  const MutexLock lock(disk_->mutex);
  disk_->appends_until_failure = n;
}

void FaultyFileSystem::fail_read(std::uint64_t n) {
  const MutexLock lock(disk_->mutex);
  disk_->reads_until_failure = n;
}

void FaultyFileSystem::fill_disk_after(std::uint64_t bytes) {
  const MutexLock lock(disk_->mutex);
  disk_->bytes_left = bytes;
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::after_power_cut(std::uint64_t seed) const {
  std::mt19937_64 random(seed);
  auto disk = std::make_shared<Disk>();
  const MutexLock lock(disk_->mutex);
  const MutexLock new_lock(disk->mutex);
  disk->inodes = disk_->inodes;
  for (Inode& inode : disk->inodes) {
    if (!inode.is_directory) {
      inode.contents = survivor(inode, random);
      inode.durable = inode.contents;
      inode.common_bytes = inode.contents.size();
      inode.lost.clear();
    }
  }
  const std::size_t change_count = disk_->changes.size();
  const bool in_order = random() % 2 == 0;
  const std::size_t kept = random() % (change_count + 1);
  for (std::size_t i = 0; i < change_count; ++i) {
    if (in_order ? i < kept : random() % 2 == 0) apply_change(disk_->changes[i], disk->inodes);
  }
  for (Inode& inode : disk->inodes) inode.entries = inode.durable_entries;
  return std::unique_ptr<FaultyFileSystem>(new FaultyFileSystem(std::move(disk)));
}

std::unique_ptr<FaultyFileSystem> FaultyFileSystem::after_process_crash() const {
  auto disk = std::make_shared<Disk>();
  const MutexLock lock(disk_->mutex);
  const MutexLock new_lock(disk->mutex);
  disk->inodes = disk_->inodes;
  disk->changes = disk_->changes;
  return std::unique_ptr<FaultyFileSystem>(new FaultyFileSystem(disk));
}

std::string FaultyFileSystem::describe() const {
  const MutexLock lock(disk_->mutex);
  std::string out;
  std::vector<std::pair<InodeId, std::string>> pending = {{0, ""}};
  while (!pending.empty()) {
    const auto [id, path] = pending.back();
    pending.pop_back();
    const Inode& inode = disk_->inodes[id];
    if (!inode.is_directory) out += path + ": " + std::to_string(inode.contents.size()) + "\n";
    for (auto entry = inode.entries.rbegin(); entry != inode.entries.rend(); ++entry) {
      pending.emplace_back(entry->second, join_path(path, entry->first));
    }
  }
  return out;
}

Result<std::unique_ptr<WritableFile>> FaultyFileSystem::open_writable(const std::string& path,
                                                                      OpenMode mode) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const Disk::Place place = TRY(disk_->find(path));
  if (place.name.empty()) return io_error("open " + path + ": Is a directory");
  if (!place.inode || mode == OpenMode::kTruncate) TRY(disk_->begin_operation());
  InodeId id = 0;
  if (!place.inode) {
    id = disk_->create(place, false);
  } else {
    id = *place.inode;
    if (disk_->inodes[id].is_directory) return io_error("open " + path + ": Is a directory");
    if (mode == OpenMode::kTruncate) disk_->set_size(disk_->inodes[id], 0);
  }
  TRY(disk_->end_operation());
  return std::unique_ptr<WritableFile>(new FaultyWritableFile(disk_, id, path));
}

Result<std::unique_ptr<ReadableFile>> FaultyFileSystem::open_readable(const std::string& path,
                                                                      Access) {
  InodeId id = 0;
  {
    const MutexLock lock(disk_->mutex);
    TRY(disk_->need_power());
    id = TRY(disk_->find_existing(path, false));
  }
  return std::unique_ptr<ReadableFile>(new FaultyReadableFile(disk_, id, path));
}

Result<std::vector<DirectoryEntry>> FaultyFileSystem::list(const std::string& directory) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const InodeId id = TRY(disk_->find_existing(directory, true));
  std::vector<DirectoryEntry> out;
  for (const auto& [name, child] : disk_->inodes[id].entries) {
    out.push_back({name, disk_->inodes[child].is_directory});
  }
  return out;
}

bool FaultyFileSystem::exists(const std::string& path) {
  const MutexLock lock(disk_->mutex);
  const auto place = disk_->find(path);
  return !disk_->power_is_cut && place.ok() && place->inode.has_value();
}

Status FaultyFileSystem::create_directories(const std::string& directory) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  for (std::size_t end = 1; end <= directory.size(); ++end) {
    if (end != directory.size() && directory[end] != '/') continue;
    const std::string prefix = directory.substr(0, end);
    const Disk::Place place = TRY(disk_->find(prefix));
    if (place.inode) {
      if (!disk_->inodes[*place.inode].is_directory) {
        return io_error("mkdir " + prefix + ": Not a directory");
      }
      continue;
    }
    TRY(disk_->begin_operation());
    disk_->create(place, true);
    TRY(disk_->end_operation());
  }
  return {};
}

Status FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const Disk::Place source = TRY(disk_->find(from));
  const Disk::Place target = TRY(disk_->find(to));
  if (!source.inode) return not_found(from);
  if (source.name.empty() || target.name.empty()) return io_error("rename of the root");
  if (target.inode && disk_->inodes[*target.inode].is_directory &&
      !disk_->inodes[*target.inode].entries.empty()) {
    return io_error("rename " + from + " to " + to + ": Directory not empty");
  }
  TRY(disk_->begin_operation());
  disk_->inodes[source.directory].entries.erase(source.name);
  disk_->inodes[target.directory].entries[target.name] = *source.inode;
  Change change;
  change.directory = target.directory;
  change.name = target.name;
  change.inode = *source.inode;
  change.is_rename = true;
  change.from_directory = source.directory;
  change.from_name = source.name;
  disk_->changes.push_back(std::move(change));
  return disk_->end_operation();
}

Status FaultyFileSystem::link_file(const std::string& from, const std::string& to) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const InodeId inode = TRY(disk_->find_existing(from, false));
  const Disk::Place target = TRY(disk_->find(to));
  if (target.inode || target.name.empty()) return io_error("link " + to + ": File exists");
  TRY(disk_->begin_operation());
  disk_->inodes[target.directory].entries[target.name] = inode;
  Change change;
  change.directory = target.directory;
  change.name = target.name;
  change.inode = inode;
  disk_->changes.push_back(std::move(change));
  return disk_->end_operation();
}

Status FaultyFileSystem::remove_file(const std::string& path) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const Disk::Place place = TRY(disk_->find(path));
  if (!place.inode) return not_found(path);
  if (disk_->inodes[*place.inode].is_directory) return io_error(path + ": Is a directory");
  TRY(disk_->begin_operation());
  disk_->remove_entry(place);
  return disk_->end_operation();
}

Status FaultyFileSystem::remove_all(const std::string& path) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const auto place = disk_->find(path);
  if (!place.ok() || !place->inode) return {};
  if (place->name.empty()) return io_error("removal of the root");
  return disk_->remove_tree(*place, path);
}

Status FaultyFileSystem::truncate(const std::string& path, std::uint64_t size) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const InodeId id = TRY(disk_->find_existing(path, false));
  TRY(disk_->begin_operation());
  disk_->set_size(disk_->inodes[id], static_cast<std::size_t>(size));
  return disk_->end_operation();
}

Status FaultyFileSystem::sync_directory(const std::string& directory) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  const InodeId id = TRY(disk_->find_existing(directory, true));
  TRY(disk_->begin_operation());
  TRY(disk_->end_operation());
  disk_->sync_entries(id);
  return {};
}

Result<std::uint64_t> FaultyFileSystem::free_bytes(const std::string&) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  return disk_->bytes_left;
}

Result<std::unique_ptr<FileLock>> FaultyFileSystem::lock(const std::string& path) {
  const MutexLock lock(disk_->mutex);
  TRY(disk_->need_power());
  if (!disk_->locks.insert(path).second) {
    return unavailable("lock " + path + ": held by another process");
  }
  return std::unique_ptr<FileLock>(new FaultyFileLock(disk_, path));
}

}  // namespace tarsier::testing
