#include "tsdb/follow/follower_hub.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "tsdb/wal/log_format.h"

namespace tarsier::tsdb {
namespace {

constexpr std::uint8_t kPositionVersion = 1;
constexpr std::size_t kPositionBytes = 13;
constexpr std::size_t kNameLengthMax = 100;

bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > kNameLengthMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

}  // namespace

std::string encode_follower_position(LogPosition position) {
  std::string out;
  put_u8(out, kPositionVersion);
  put_be32(out, segment_of(position));
  put_be32(out, static_cast<std::uint32_t>(offset_of(position)));
  put_be32(out, crc32c(as_bytes(out)));
  return out;
}

Result<LogPosition> decode_follower_position(std::string_view stored) {
  if (stored.size() != kPositionBytes) {
    return corruption(fmt::format("{} bytes, {} expected", stored.size(), kPositionBytes));
  }
  ByteReader reader(as_bytes(stored));
  const std::uint8_t version = reader.u8();
  const std::uint32_t segment = reader.be32();
  const std::uint32_t offset = reader.be32();
  const std::uint32_t expected = reader.be32();
  const std::uint32_t actual = crc32c(as_bytes(stored.substr(0, kPositionBytes - 4)));
  if (actual != expected) {
    return corruption(fmt::format("checksum {:08x}, expected {:08x}", actual, expected));
  }
  if (version != kPositionVersion) return corruption(fmt::format("version {}", version));
  return log_position(segment, offset);
}

FollowerHub::FollowerHub(FileSystem& files, FollowedLog followed, Logger& log)
    : files_(files), followed_(std::move(followed)), log_(log) {}

FollowerHub::~FollowerHub() = default;

std::string FollowerHub::path_of(const std::string& name) const {
  return join_path(followed_.state_directory, name);
}

Result<std::optional<LogPosition>> FollowerHub::load(const std::string& name) {
  const std::string path = path_of(name);
  if (!files_.exists(path)) return std::optional<LogPosition>();
  const std::string stored = TRY(read_file(files_, path, 4096));
  const Result<LogPosition> position = decode_follower_position(stored);
  if (position.ok()) return std::optional(*position);
  // Too much is better than too little.
  log_.error("The position of a follower of the log is damaged; it begins with what there is",
             {{"file", path}, {"error", position.status().message()}});
  return std::optional(LogPosition{});
}

Status FollowerHub::store(const std::string& name, LogPosition position) {
  if (!files_.exists(followed_.state_directory)) {
    TRY(files_.create_directories(followed_.state_directory));
    TRY(files_.sync_directory(parent_path(followed_.state_directory)));
    TRY(files_.sync_directory(parent_path(parent_path(followed_.state_directory))));
  }
  return write_file_atomically(files_, path_of(name), encode_follower_position(position));
}

Result<std::vector<std::string>> FollowerHub::stored() const {
  std::vector<std::string> names;
  if (!files_.exists(followed_.state_directory)) return names;
  for (const DirectoryEntry& entry : TRY(files_.list(followed_.state_directory))) {
    if (!entry.is_directory && is_valid_name(entry.name)) names.push_back(entry.name);
  }
  return names;
}

Status FollowerHub::forget(const std::string& name) {
  if (!is_valid_name(name)) return invalid(fmt::format("no name for a follower: \"{}\"", name));
  {
    const MutexLock lock(mutex_);
    awaited_.erase(name);
  }
  if (!files_.exists(path_of(name))) return {};
  TRY(files_.remove_file(path_of(name)));
  return files_.sync_directory(followed_.state_directory);
}

Status FollowerHub::adjust_stored(LogPosition begin) {
  for (const std::string& name : TRY(stored())) {
    const std::optional<LogPosition> position = TRY(load(name));
    if (!position) continue;
    if (*position > begin) TRY(store(name, begin));
    const MutexLock lock(mutex_);
    awaited_[name] = std::min(*position, begin);
  }
  return {};
}

Result<std::unique_ptr<WalFollower>> FollowerHub::follow(FollowerOptions options) {
  if (!is_valid_name(options.name)) {
    return invalid(fmt::format("no name for a follower: \"{}\"", options.name));
  }
  std::optional<LogPosition> begin = options.from;
  if (!begin) begin = TRY(load(options.name));
  if (!begin || *begin > followed_.appended()) {
    begin = followed_.followable();
    // A crash before the first store() must not skip what was not read.
    if (!options.from) TRY(store(options.name, *begin));
  }
  std::uint64_t id = 0;
  {
    const MutexLock lock(mutex_);
    id = next_id_++;
    needed_[id] = *begin;
    awaited_.erase(options.name);
  }
  return std::unique_ptr<WalFollower>(new WalFollower(*this, std::move(options), id, *begin));
}

void FollowerHub::release(std::uint64_t id, LogPosition position) {
  const MutexLock lock(mutex_);
  LogPosition& needed = needed_[id];
  needed = std::max(needed, position);
}

void FollowerHub::remove(std::uint64_t id) {
  const MutexLock lock(mutex_);
  needed_.erase(id);
}

std::optional<LogPosition> FollowerHub::oldest_needed() const {
  std::optional<LogPosition> oldest;
  for (const auto& [id, position] : needed_) {
    if (!oldest || position < *oldest) oldest = position;
  }
  for (const auto& [name, position] : awaited_) {
    if (!oldest || position < *oldest) oldest = position;
  }
  return oldest;
}

std::optional<std::uint32_t> FollowerHub::first_needed_segment() const {
  const MutexLock lock(mutex_);
  const std::optional<LogPosition> oldest = oldest_needed();
  if (!oldest) return std::nullopt;
  return segment_of(*oldest);
}

bool FollowerHub::needs_departed(SeriesRef ref, LogPosition log_end) {
  const MutexLock lock(mutex_);
  const std::optional<LogPosition> oldest = oldest_needed();
  if (!oldest) {
    departed_.erase(ref.value);
    return false;
  }
  const auto [found, is_new] = departed_.try_emplace(ref.value, log_end);
  if (found->second > *oldest) return true;
  departed_.erase(found);
  return false;
}

}  // namespace tarsier::tsdb
