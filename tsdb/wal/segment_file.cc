#include "tsdb/wal/segment_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/wal/log_format.h"
#include "tsdb/wal/segment_reader.h"

namespace tarsier::tsdb {
namespace {

constexpr std::string_view kReplacementSuffix = ".tmp";
constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

/// Adds the first `bytes` of a file to `target`.
Status copy(FileSystem& files, const std::string& path, std::uint64_t bytes, WritableFile& target) {
  const auto source = TRY(files.open_readable(path, Access::kRead));
  std::vector<std::byte> buffer;
  for (std::uint64_t at = 0; at < bytes; at += buffer.size()) {
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(bytes - at, kCopyBytes)));
    TRY(source->read_at(at, buffer));
    TRY(target.append(buffer));
  }
  return {};
}

Status sync_segment(FileSystem& files, const std::string& path) {
  const auto file = TRY(files.open_writable(path, OpenMode::kAppend));
  return file->sync();
}

/// Whether the file is `bytes` of whole records.
Status verify(FileSystem& files, const std::string& path, std::uint64_t bytes) {
  const auto reader = TRY(SegmentReader::open(files, path, kLogRecordBytesMax));
  SegmentReader::Step step = reader->next();
  while (step == SegmentReader::Step::kRecord) step = reader->next();
  if (step == SegmentReader::Step::kFailed) return reader->status();
  if (step != SegmentReader::Step::kEnd) {
    return corruption(
        fmt::format("{} at {}: {}", path, reader->damage_offset(), reader->damage_reason()));
  }
  if (reader->file_bytes() != bytes) {
    return corruption(fmt::format("{}: {} bytes, want {}", path, reader->file_bytes(), bytes));
  }
  return {};
}

}  // namespace

Result<SegmentFile> SegmentFile::open(FileSystem& files, const std::string& directory,
                                      std::uint32_t segment, KeepTail keep_tail) {
  SegmentFile file(files, directory, keep_tail);
  TRY(file.begin(segment));
  return file;
}

Status SegmentFile::begin(std::uint32_t segment) {
  CHECK(is_whole() && is_synced());
  const std::string path = join_path(directory_, segment_name(segment));
  // Left by a try whose directory could not be synced: a new entry is written anew.
  if (files_->exists(path)) TRY(files_->remove_file(path));
  auto file = TRY(files_->open_writable(path, OpenMode::kTruncate));
  TRY(files_->sync_directory(directory_));
  path_ = path;
  file_ = std::move(file);
  bytes_ = 0;
  synced_bytes_ = 0;
  tail_.clear();
  return {};
}

Status SegmentFile::append(Bytes bytes) {
  CHECK(is_whole());
  if (bytes.empty()) return {};
  Status status = file_->append(bytes);
  if (!status.ok()) {
    harm_ = Harm::kTorn;
    return status;
  }
  bytes_ += bytes.size();
  if (keep_tail_ == KeepTail::kYes) tail_ += as_text(bytes);
  return {};
}

Status SegmentFile::sync() {
  CHECK(is_whole());
  if (is_synced()) return {};
  Status status = file_->sync();
  if (!status.ok()) {
    harm_ = Harm::kUnsynced;
    return status;
  }
  synced_bytes_ = bytes_;
  tail_.clear();
  return {};
}

Status SegmentFile::repair() {
  switch (harm_) {
    case Harm::kNone: return {};
    case Harm::kTorn: return cut_back();
    case Harm::kUnsynced: return replace();
  }
  return {};
}

Status SegmentFile::cut_back() {
  TRY(files_->truncate(path_, bytes_));
  file_ = TRY(files_->open_writable(path_, OpenMode::kAppend));
  harm_ = Harm::kNone;
  return {};
}

Status SegmentFile::copy_into(WritableFile& target) const {
  const std::uint64_t end = keep_tail_ == KeepTail::kYes ? synced_bytes_ : bytes_;
  TRY(copy(*files_, path_, end, target));
  if (!tail_.empty()) TRY(target.append(as_bytes(tail_)));
  return target.sync();
}

Status SegmentFile::replace() {
  const std::string replacement = path_ + std::string(kReplacementSuffix);
  {
    const auto target = TRY(files_->open_writable(replacement, OpenMode::kTruncate));
    TRY(copy_into(*target));
  }
  TRY(verify(*files_, replacement, bytes_));
  TRY(files_->rename(replacement, path_));
  TRY(files_->sync_directory(directory_));
  file_ = TRY(files_->open_writable(path_, OpenMode::kAppend));
  synced_bytes_ = bytes_;
  tail_.clear();
  harm_ = Harm::kNone;
  return {};
}

Status make_segments_durable(FileSystem& files, const std::string& directory,
                             std::span<const std::uint32_t> segments) {
  if (segments.empty()) return {};
  for (const std::uint32_t segment : segments.first(segments.size() - 1)) {
    TRY(sync_segment(files, join_path(directory, segment_name(segment))));
  }
  const std::string path = join_path(directory, segment_name(segments.back()));
  const std::uint64_t bytes = TRY(files.open_readable(path, Access::kRead))->size();
  if (bytes == 0) return {};
  const std::string replacement = path + std::string(kReplacementSuffix);
  {
    const auto target = TRY(files.open_writable(replacement, OpenMode::kTruncate));
    if (const Status copied = copy(files, path, bytes, *target); !copied.ok()) {
      // A full disk must not keep what it has from being served.
      TRY(files.remove_file(replacement));
      return sync_segment(files, path);
    }
    TRY(target->sync());
  }
  TRY(files.rename(replacement, path));
  return files.sync_directory(directory);
}

Status remove_unfinished_segments(FileSystem& files, const std::string& directory) {
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    std::string_view name = entry.name;
    if (entry.is_directory || !name.ends_with(kReplacementSuffix)) continue;
    name.remove_suffix(kReplacementSuffix.size());
    if (parse_segment_name(name)) TRY(files.remove_file(join_path(directory, entry.name)));
  }
  return {};
}

}  // namespace tarsier::tsdb
