#include "query/active_query_log.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/json_writer.h"

namespace tarsier::query {
namespace {

constexpr std::size_t kSlotBytes = 1000;
constexpr std::string_view kFileName = "queries.active";
constexpr std::uint64_t kFileBytesMax = std::uint64_t{16} << 20;

std::string entry_of(std::string_view query, Timestamp now) {
  std::string entry;
  JsonWriter json(entry);
  json.begin_object().field("query", query).field("timestamp_sec", now.ms / 1000).end_object();
  return entry;
}

/// The longest beginning that does not cut a character.
std::string_view cut(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

/// An entry that leaves room for the comma. Escapes make text longer, so it is cut until it fits.
std::string fitting_entry(std::string_view query, Timestamp now) {
  std::size_t size = kSlotBytes - 1 - entry_of("", now).size();
  std::string entry = entry_of(cut(query, size), now);
  while (entry.size() > kSlotBytes - 1) {
    size -= std::min(size, entry.size() - (kSlotBytes - 1));
    entry = entry_of(cut(query, size), now);
  }
  return entry;
}

}  // namespace

std::string unfinished_queries(std::string_view file) {
  std::string text;
  for (const char c : file) {
    if (c != '\0') text += c;
  }
  if (text.size() <= 1) return "";
  text.back() = ']';
  return text;
}

std::unique_ptr<ActiveQueryLog> ActiveQueryLog::open(FileSystem& files,
                                                     const std::string& directory,
                                                     std::size_t slot_count, Logger& log) {
  const std::string path = join_path(directory, kFileName);
  if (files.exists(path)) {
    const Result<std::string> old = read_file(files, path, kFileBytesMax);
    if (!old.ok()) {
      log.error("Reading the log of active queries failed", {{"err", old.status().message()}});
    } else if (const std::string left = unfinished_queries(*old); !left.empty()) {
      log.warn("These queries didn't finish in the last run", {{"queries", left}});
    }
  }
  Result<std::unique_ptr<RewritableFile>> file =
      files.open_rewritable(path, 1 + slot_count * kSlotBytes);
  Status status = file.ok() ? (*file)->write_at(0, as_bytes("[")) : file.status();
  if (!status.ok()) {
    log.error("Writing the log of active queries failed", {{"err", status.message()}});
    return std::unique_ptr<ActiveQueryLog>(new ActiveQueryLog(nullptr, 0));
  }
  return std::unique_ptr<ActiveQueryLog>(new ActiveQueryLog(std::move(*file), slot_count));
}

ActiveQueryLog::ActiveQueryLog(std::unique_ptr<RewritableFile> file, std::size_t slot_count)
    : file_(std::move(file)) {
  for (std::size_t slot = slot_count; slot-- > 0;) free_.push_back(slot);
}

std::size_t ActiveQueryLog::insert(std::string_view query, Timestamp now) {
  std::size_t slot = kNoSlot;
  {
    const MutexLock lock(mutex_);
    if (free_.empty()) return kNoSlot;
    slot = free_.back();
    free_.pop_back();
  }
  std::string bytes = fitting_entry(query, now);
  bytes.resize(kSlotBytes, '\0');
  bytes.back() = ',';
  // A failed write costs a name after a crash, nothing else.
  [[maybe_unused]] const Status status = file_->write_at(1 + slot * kSlotBytes, as_bytes(bytes));
  return slot;
}

void ActiveQueryLog::remove(std::size_t slot) {
  if (slot == kNoSlot) return;
  const std::string zeroes(kSlotBytes, '\0');
  [[maybe_unused]] const Status status = file_->write_at(1 + slot * kSlotBytes, as_bytes(zeroes));
  const MutexLock lock(mutex_);
  free_.push_back(slot);
}

}  // namespace tarsier::query
