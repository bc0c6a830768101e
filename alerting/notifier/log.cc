#include "alerting/notifier/log.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace tarsier::alerting {
namespace {

constexpr std::string_view kMagic = "TARSNTF1";
constexpr std::string_view kSuffix = ".log";
constexpr std::size_t kFrameHeaderBytes = 8;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{4} << 30;
constexpr std::size_t kSnapshotFrameBytes = std::size_t{1} << 20;
constexpr std::uint64_t kCompactionBytesMin = std::uint64_t{4} << 20;

std::optional<std::uint64_t> number_of(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  std::uint64_t number = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end || name.empty()) return std::nullopt;
  return number;
}

void append_frame(std::string& out, std::string_view payload) {
  put_be32(out, static_cast<std::uint32_t>(payload.size()));
  put_be32(out, crc32c(as_bytes(payload)));
  out += payload;
}

bool begins_with_frame(Bytes bytes) {
  ByteReader reader(bytes);
  const std::uint32_t size = reader.be32();
  const std::uint32_t checksum = reader.be32();
  const Bytes payload = reader.take(size);
  return reader.ok() && size > 0 && crc32c(payload) == checksum;
}

/// Reads whole frames into `state`; gives the offset behind the last one.
Result<std::uint64_t> read_frames(Bytes bytes, NotifierState& state) {
  ByteReader reader(bytes);
  if (as_text(reader.take(kMagic.size())) != kMagic) {
    return corruption("it does not begin with " + std::string(kMagic));
  }
  for (;;) {
    const std::size_t begin = reader.offset();
    if (reader.remaining() < kFrameHeaderBytes) return begin;
    const std::uint32_t size = reader.be32();
    const std::uint32_t checksum = reader.be32();
    // What was being written when the power went is not there.
    if (size > reader.remaining()) return begin;
    const Bytes payload = reader.take(size);
    if (size == 0 || crc32c(payload) != checksum) {
      // Every frame was synced before the next was begun: only the last one can be torn.
      if (!begins_with_frame(bytes.subspan(reader.offset()))) return begin;
      return corruption(fmt::format("frame at {}: checksum {:08x} over {} bytes, want {:08x}",
                                    begin, crc32c(payload), size, checksum));
    }
    Result<std::vector<Record>> records = decode_records(payload);
    if (!records.ok()) {
      return std::move(records).status().with_prefix(fmt::format("frame at {}", begin));
    }
    for (const Record& record : *records) state.apply(record);
  }
}

/// Creates a directory and its missing parents so that they survive a power cut.
Status create_durably(FileSystem& files, const std::string& directory) {
  std::vector<std::string> missing;
  for (std::string path = directory; !files.exists(path) && path != "." && path != "/";
       path = parent_path(path)) {
    missing.push_back(path);
  }
  TRY(files.create_directories(directory));
  for (const std::string& path : missing) TRY(files.sync_directory(parent_path(path)));
  return {};
}

}  // namespace

std::string NotifierLog::path_of(std::uint64_t number) const {
  return join_path(directory_, fmt::format("{:08}{}", number, kSuffix));
}

Result<NotifierLog::Opened> NotifierLog::open(FileSystem& files, const std::string& directory) {
  TRY(create_durably(files, directory));
  Opened opened;
  opened.log = std::unique_ptr<NotifierLog>(new NotifierLog(files, directory));
  NotifierLog& log = *opened.log;
  std::vector<std::uint64_t> numbers;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (const auto number = number_of(entry.name)) {
      numbers.push_back(*number);
    } else if (entry.name.ends_with(".tmp")) {
      TRY(files.remove_file(join_path(directory, entry.name)));
    }
  }
  std::sort(numbers.begin(), numbers.end());
  if (numbers.empty()) {
    TRY(log.start_file(opened.state));
    return opened;
  }
  // Only the newest counts: it was renamed into place when it was whole.
  log.number_ = numbers.back();
  const std::string path = log.path_of(log.number_);
  const std::string text = TRY(read_file(files, path, kFileBytesMax));
  Result<std::uint64_t> end = read_frames(as_bytes(text), opened.state);
  if (!end.ok()) return std::move(end).status().with_prefix(path);
  opened.torn_bytes = text.size() - *end;
  if (opened.torn_bytes > 0) TRY(files.truncate(path, *end));
  log.file_ = TRY(files.open_writable(path, OpenMode::kAppend));
  if (opened.torn_bytes > 0) TRY(log.file_->sync());
  log.size_bytes_ = log.snapshot_bytes_ = *end;
  for (const std::uint64_t number : numbers) {
    if (number != log.number_) TRY(files.remove_file(log.path_of(number)));
  }
  return opened;
}

Status NotifierLog::start_file(const NotifierState& state) {
  std::string contents(kMagic);
  std::string payload;
  state.snapshot([&](const Record& record) {
    encode_record(payload, record);
    if (payload.size() < kSnapshotFrameBytes) return;
    append_frame(contents, payload);
    payload.clear();
  });
  if (!payload.empty()) append_frame(contents, payload);
  const std::uint64_t next = number_ + 1;
  const std::string path = path_of(next);
  const std::string temporary = path + ".tmp";
  {
    const std::unique_ptr<WritableFile> file =
        TRY(files_.open_writable(temporary, OpenMode::kTruncate));
    TRY(file->append(as_bytes(contents)));
    TRY(file->sync());
  }
  TRY(files_.rename(temporary, path));
  TRY(files_.sync_directory(directory_));
  file_ = TRY(files_.open_writable(path, OpenMode::kAppend));
  if (number_ != 0) TRY(files_.remove_file(path_of(number_)));
  number_ = next;
  size_bytes_ = snapshot_bytes_ = contents.size();
  return {};
}

Status NotifierLog::commit(std::string_view payload) {
  if (!failure_.ok()) return failure_;
  if (payload.empty()) return {};
  std::string frame;
  append_frame(frame, payload);
  failure_ = file_->append(as_bytes(frame));
  if (failure_.ok()) failure_ = file_->sync();
  if (failure_.ok()) size_bytes_ += frame.size();
  return failure_;
}

bool NotifierLog::wants_compaction() const {
  return failure_.ok() && size_bytes_ > kCompactionBytesMin && size_bytes_ > 4 * snapshot_bytes_;
}

Status NotifierLog::compact(const NotifierState& state) {
  if (failure_.ok()) failure_ = start_file(state);
  return failure_;
}

}  // namespace tarsier::alerting
