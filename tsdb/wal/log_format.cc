#include "tsdb/wal/log_format.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kCheckpointPrefix = "checkpoint.";

}  // namespace

std::string segment_name(std::uint32_t segment) { return fmt::format("{:08}", segment); }

std::string checkpoint_name(std::uint32_t last_segment) {
  return fmt::format("{}{:08}", kCheckpointPrefix, last_segment);
}

std::optional<std::uint32_t> parse_segment_name(std::string_view name) {
  std::uint32_t segment = 0;
  const char* const end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data(), end, segment);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  if (segment_name(segment) != name) return std::nullopt;
  return segment;
}

std::optional<std::uint32_t> parse_checkpoint_name(std::string_view name) {
  if (!name.starts_with(kCheckpointPrefix)) return std::nullopt;
  return parse_segment_name(name.substr(kCheckpointPrefix.size()));
}

Result<std::vector<std::uint32_t>> list_segments(FileSystem& files, const std::string& directory) {
  std::vector<std::uint32_t> segments;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (entry.is_directory) continue;
    if (const auto segment = parse_segment_name(entry.name)) segments.push_back(*segment);
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

Result<std::optional<std::uint32_t>> find_newest_checkpoint(FileSystem& files,
                                                            const std::string& wal_directory) {
  std::optional<std::uint32_t> newest;
  for (const DirectoryEntry& entry : TRY(files.list(wal_directory))) {
    if (!entry.is_directory) continue;
    const auto checkpoint = parse_checkpoint_name(entry.name);
    if (checkpoint && (!newest || *checkpoint > *newest)) newest = checkpoint;
  }
  return newest;
}

}  // namespace tarsier::tsdb
