#include "tsdb/block/snapshot.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/calendar.h"
#include "tsdb/block/block_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

Status copy_file(FileSystem& files, const std::string& from, const std::string& to) {
  const auto source = TRY(files.open_readable(from, Access::kRead));
  const auto target = TRY(files.open_writable(to, OpenMode::kTruncate));
  std::vector<std::byte> buffer;
  for (std::uint64_t at = 0; at < source->size(); at += buffer.size()) {
    buffer.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(source->size() - at, kCopyBytes)));
    TRY(source->read_at(at, buffer));
    TRY(target->append(buffer));
  }
  return target->sync();
}

Status link_tree(FileSystem& files, const std::string& from, const std::string& to) {
  TRY(files.create_directories(to));
  for (const DirectoryEntry& entry : TRY(files.list(from))) {
    const std::string source = join_path(from, entry.name);
    const std::string target = join_path(to, entry.name);
    if (entry.is_directory) {
      TRY(link_tree(files, source, target));
      continue;
    }
    if (entry.name.ends_with(".tmp")) continue;  // A replacement that was never finished.
    Status linked = files.link_file(source, target);
    if (linked.code() == Code::kUnavailable) linked = copy_file(files, source, target);
    TRY(std::move(linked));
  }
  return files.sync_directory(to);
}

Status fill(FileSystem& files, const std::string& data_directory, const BlockList& blocks,
            const SnapshotRequest& request, const std::string& directory) {
  TRY(files.create_directories(directory));
  for (const auto& block : blocks) {
    const std::string name = block->meta().ulid.to_string();
    TRY(link_tree(files, join_path(data_directory, name), join_path(directory, name)));
  }
  if (request.copy_head) TRY(request.copy_head(directory));
  return files.sync_directory(directory);
}

Status remove_unfinished(FileSystem& files, const std::string& shelf) {
  for (const DirectoryEntry& entry : TRY(files.list(shelf))) {
    if (!entry.name.ends_with(kCreationSuffix)) continue;
    TRY(files.remove_all(join_path(shelf, entry.name)));
  }
  return {};
}

}  // namespace

std::string snapshot_name(Timestamp now, std::uint64_t random) {
  constexpr std::int64_t kSecondsPerDay = 86'400;
  std::int64_t day = now.ms / 1000 / kSecondsPerDay;
  std::int64_t second = now.ms / 1000 % kSecondsPerDay;
  if (second < 0) {
    second += kSecondsPerDay;
    --day;
  }
  const Date date = date_from(day);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z-{:016x}", date.year, date.month, date.day,
                     second / 3600, second / 60 % 60, second % 60, random);
}

Status write_snapshot(FileSystem& files, const std::string& data_directory, const BlockList& blocks,
                      const SnapshotRequest& request) {
  const std::string shelf = join_path(data_directory, kSnapshotsDirectory);
  TRY(files.create_directories(shelf));
  TRY(files.sync_directory(data_directory));
  TRY(remove_unfinished(files, shelf));
  const std::string target = join_path(shelf, request.name);
  const std::string temporary = target + std::string(kCreationSuffix);
  Status outcome = fill(files, data_directory, blocks, request, temporary);
  if (outcome.ok()) outcome = files.rename(temporary, target);
  if (!outcome.ok()) {
    // The first error is the one to tell; what stays is removed by the next snapshot.
    static_cast<void>(files.remove_all(temporary));
    return outcome;
  }
  return files.sync_directory(shelf);
}

}  // namespace tarsier::tsdb
