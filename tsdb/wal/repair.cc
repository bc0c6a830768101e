#include "tsdb/wal/repair.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

/// Makes `directory`, and its name durable up to the root of what it is below.
Status make_durable_directory(FileSystem& files, const std::string& directory) {
  if (files.exists(directory)) return {};
  TRY(make_durable_directory(files, parent_path(directory)));
  TRY(files.create_directories(directory));
  return files.sync_directory(parent_path(directory));
}

/// "<directory>/<name>", or with ".2", ".3" ... behind it if that is taken.
std::string free_path(FileSystem& files, const std::string& directory, const std::string& name) {
  std::string path = join_path(directory, name);
  for (int n = 2; files.exists(path); ++n)
    path = join_path(directory, fmt::format("{}.{}", name, n));
  return path;
}

/// A name in the lost directory that says where it came from: "wal-00000003",
/// "checkpoint.00000002-00000000".
std::string lost_name(const LogDamage& damage, std::uint32_t segment) {
  const std::size_t slash = damage.directory.rfind('/');
  const std::string origin =
      slash == std::string::npos ? damage.directory : damage.directory.substr(slash + 1);
  return fmt::format("{}-{}", origin, segment_name(segment));
}

/// From the last to the first, so that no gap ever arises; each move is durable before the next.
Status move_later_segments(FileSystem& files, const LogDamage& damage,
                           const std::string& lost_directory, Logger& log) {
  std::vector<std::uint32_t> segments = TRY(list_segments(files, damage.directory));
  std::reverse(segments.begin(), segments.end());
  for (const std::uint32_t segment : segments) {
    if (segment <= damage.segment) break;
    const std::string from = join_path(damage.directory, segment_name(segment));
    const std::string to = free_path(files, lost_directory, lost_name(damage, segment));
    TRY(files.rename(from, to));
    TRY(files.sync_directory(lost_directory));
    TRY(files.sync_directory(damage.directory));
    log.error("Set aside a log segment behind a damaged one", {{"segment", from}, {"to", to}});
  }
  return {};
}

Status copy_tail(FileSystem& files, const std::string& from, std::uint64_t begin,
                 const std::string& to) {
  const auto source = TRY(files.open_readable(from, Access::kRead));
  const auto target = TRY(files.open_writable(to, OpenMode::kTruncate));
  std::vector<std::byte> buffer;
  for (std::uint64_t at = begin; at < source->size(); at += buffer.size()) {
    buffer.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(source->size() - at, kCopyBytes)));
    TRY(source->read_at(at, buffer));
    TRY(target->append(buffer));
  }
  return target->sync();
}

Status cut_segment(FileSystem& files, const LogDamage& damage, const std::string& lost_directory,
                   Logger& log) {
  const std::string path = damage.segment_path();
  if (!files.exists(path)) return {};  // The damage is its absence.
  const std::string to =
      free_path(files, lost_directory,
                fmt::format("{}-from-{}", lost_name(damage, damage.segment), damage.good_bytes));
  if (Status saved = copy_tail(files, path, damage.good_bytes, to); !saved.ok()) {
    static_cast<void>(files.remove_all(to).ok());
    if (damage.kind != LogDamage::Kind::kTornTail) return saved;
    // Bytes that nobody was promised must not keep a full disk from serving what it has.
    log.warn("The torn tail of the log could not be saved before it was cut",
             {{"segment", path}, {"error", saved.message()}});
  }
  TRY(files.sync_directory(lost_directory));
  TRY(files.truncate(path, damage.good_bytes));
  const auto file = TRY(files.open_writable(path, OpenMode::kAppend));
  TRY(file->sync());
  const std::string good_bytes = std::to_string(damage.good_bytes);
  if (damage.kind == LogDamage::Kind::kTornTail) {
    log.warn("Cut the torn tail of the log, which a crash left and nobody was promised",
             {{"segment", path},
              {"kept_bytes", good_bytes},
              {"saved_to", to},
              {"reason", damage.reason}});
  } else {
    log.error("Cut a damaged log segment behind its last whole record",
              {{"segment", path},
               {"kept_bytes", good_bytes},
               {"saved_to", to},
               {"reason", damage.reason}});
  }
  return {};
}

}  // namespace

Status repair_log(FileSystem& files, const LogDamage& damage, const std::string& lost_directory,
                  Logger& log) {
  TRY(make_durable_directory(files, lost_directory));
  TRY(move_later_segments(files, damage, lost_directory, log));
  return cut_segment(files, damage, lost_directory, log);
}

}  // namespace tarsier::tsdb
