#include "alerting/event_history.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/sha256.h"

namespace tarsier::alerting {
namespace {

constexpr std::string_view kMagic = "TRSSLOH1";
constexpr std::string_view kPrefix = "events-";
constexpr std::uint64_t kFileBytesMax = std::uint64_t{4} << 30;
constexpr std::size_t kHeaderBytes = 12;  // Magic and step length.
constexpr std::size_t kEntryBytes = 32;
constexpr std::size_t kFooterBytes = 16;  // Offset of the index, entries, checksum.

// Stored: never renumber.
constexpr std::uint8_t kWholeNumbers = 0;
constexpr std::uint8_t kDoubles = 1;

std::string file_name(std::uint64_t number) { return fmt::format("{}{:08}", kPrefix, number); }

std::optional<std::uint64_t> number_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  std::uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

bool is_whole(double v) { return v == std::floor(v) && std::abs(v) < 9e15; }

/// Runs of zeros are a zero and how many.
void put_column(std::string& out, const std::vector<EventCounts>& events,
                double EventCounts::* of) {
  for (std::size_t i = 0; i < events.size();) {
    const double v = events[i].*of;
    std::size_t end = i + 1;
    if (v == 0) {
      while (end < events.size() && events[end].*of == 0) ++end;
    }
    put_varint(out, static_cast<std::int64_t>(v));
    if (v == 0) put_uvarint(out, end - i);
    i = end;
  }
}

bool read_column(ByteReader& in, std::vector<EventCounts>& events, double EventCounts::* of) {
  for (std::size_t i = 0; i < events.size();) {
    const std::int64_t v = in.varint();
    const std::uint64_t count = v == 0 ? in.uvarint() : 1;
    if (!in.ok() || count == 0 || count > events.size() - i) return false;
    if (v != 0) events[i].*of = static_cast<double>(v);
    i += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace

HistoryKey history_key(std::string_view text) {
  const Sha256 digest = sha256(as_bytes(text));
  HistoryKey key;
  std::copy_n(digest.begin(), key.bytes.size(), key.bytes.begin());
  return key;
}

std::string encode_segment(const EventSegment& segment) {
  CHECK(segment.events.size() == static_cast<std::size_t>(kSegmentSteps));
  const bool is_whole_numbers =
      std::all_of(segment.events.begin(), segment.events.end(),
                  [](const EventCounts& e) { return is_whole(e.bad) && is_whole(e.total); });
  std::string out;
  put_u8(out, is_whole_numbers ? kWholeNumbers : kDoubles);
  put_f64(out, segment.base.bad);
  put_f64(out, segment.base.total);
  put_varint(out, segment.measured_from);
  if (is_whole_numbers) {
    put_column(out, segment.events, &EventCounts::bad);
    put_column(out, segment.events, &EventCounts::total);
  } else {
    for (const EventCounts& e : segment.events) {
      put_f64(out, e.bad);
      put_f64(out, e.total);
    }
  }
  return out;
}

Result<EventSegment> decode_segment(Bytes bytes) {
  ByteReader in(bytes);
  EventSegment out;
  const std::uint8_t kind = in.u8();
  out.base.bad = in.f64();
  out.base.total = in.f64();
  out.measured_from = in.varint();
  out.events.resize(static_cast<std::size_t>(kSegmentSteps));
  bool is_good = in.ok();
  if (is_good && kind == kWholeNumbers) {
    is_good = read_column(in, out.events, &EventCounts::bad) &&
              read_column(in, out.events, &EventCounts::total);
  } else if (is_good && kind == kDoubles) {
    for (EventCounts& e : out.events) {
      e.bad = in.f64();
      e.total = in.f64();
    }
    is_good = in.ok();
  } else {
    is_good = false;
  }
  if (!is_good || !in.empty()) return corruption("a segment of events is malformed");
  return out;
}

/// One file, read or mapped, checked as a whole when it is opened.
struct EventHistory::File {
  std::unique_ptr<ReadableFile> source;
  std::string copy;  ///< Where there is no mapping.
  Bytes bytes;
  std::uint64_t index = 0;
  std::uint32_t entry_count = 0;
  std::int64_t segment_min = 0;
  std::int64_t segment_max = 0;

  HistoryKey key_at(std::uint32_t i) const {
    HistoryKey key;
    std::memcpy(key.bytes.data(), bytes.data() + index + i * kEntryBytes, key.bytes.size());
    return key;
  }
  std::int64_t segment_at(std::uint32_t i) const {
    return static_cast<std::int64_t>(
        load_be<std::uint64_t>(bytes.data() + index + i * kEntryBytes + 16));
  }
  Bytes body_at(std::uint32_t i) const {
    const std::byte* const entry = bytes.data() + index + i * kEntryBytes + 24;
    return bytes.subspan(load_be<std::uint32_t>(entry), load_be<std::uint32_t>(entry + 4));
  }
  /// The first entry that is not before this one.
  std::uint32_t lower_bound(const HistoryKey& key, std::int64_t segment) const {
    std::uint32_t low = 0;
    std::uint32_t high = entry_count;
    while (low < high) {
      const std::uint32_t middle = low + (high - low) / 2;
      const HistoryKey at = key_at(middle);
      if (at < key || (at == key && segment_at(middle) < segment)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  Status check(StepClock clock) {
    if (bytes.size() < kHeaderBytes + kFooterBytes || !as_text(bytes).starts_with(kMagic)) {
      return corruption("not a file of events");
    }
    if (load_be<std::uint32_t>(bytes.data() + kMagic.size()) != clock.length.ms) {
      return corruption("steps of another length");
    }
    ByteReader footer(bytes.last(kFooterBytes));
    index = footer.be64();
    entry_count = footer.be32();
    const std::uint32_t checksum = footer.be32();
    const std::uint64_t end = bytes.size() - kFooterBytes;
    if (index < kHeaderBytes || index > end || (end - index) / kEntryBytes != entry_count ||
        (end - index) % kEntryBytes != 0 || entry_count == 0) {
      return corruption("the index is damaged");
    }
    if (crc32c(bytes.first(bytes.size() - 4)) != checksum) return corruption("a wrong checksum");
    segment_min = segment_max = segment_at(0);
    for (std::uint32_t i = 0; i < entry_count; ++i) {
      const std::byte* const entry = bytes.data() + index + i * kEntryBytes + 24;
      const std::uint64_t begin = load_be<std::uint32_t>(entry);
      const std::uint64_t size = load_be<std::uint32_t>(entry + 4);
      if (begin < kHeaderBytes || begin + size > index) return corruption("the index is damaged");
      segment_min = std::min(segment_min, segment_at(i));
      segment_max = std::max(segment_max, segment_at(i));
    }
    return {};
  }
};

EventHistory::EventHistory(FileSystem& files, std::string directory, StepClock clock, Logger& log)
    : files_(files), directory_(std::move(directory)), clock_(clock), log_(log) {}

Result<std::unique_ptr<EventHistory>> EventHistory::open(FileSystem& files, std::string directory,
                                                         StepClock clock, Logger& log) {
  TRY(files.create_directories(directory));
  // The names of the directories must survive a power cut, too.
  TRY(files.sync_directory(parent_path(directory)));
  TRY(files.sync_directory(parent_path(parent_path(directory))));
  std::unique_ptr<EventHistory> out(new EventHistory(files, std::move(directory), clock, log));
  std::set<std::uint64_t> numbers;
  for (const DirectoryEntry& entry : TRY(files.list(out->directory_))) {
    if (const auto number = number_of(entry.name)) {
      numbers.insert(*number);
    } else if (entry.name.ends_with(".tmp")) {
      TRY(files.remove_file(join_path(out->directory_, entry.name)));
    }
  }
  for (const std::uint64_t number : numbers) {
    const Status status = out->load(number);
    if (status.ok()) continue;
    const std::string path = join_path(out->directory_, file_name(number));
    if (status.code() != Code::kCorruption) {
      // A disk that does not answer says nothing of what is on it.
      log.error("A file of counted events cannot be read; it is counted again until it can",
                {{"file", path}, {"err", status.message()}});
      continue;
    }
    log.error("A file of counted events is damaged; it is set aside and counted again",
              {{"file", path}, {"err", status.message()}});
    TRY(files.rename(path, path + ".damaged"));
  }
  MutexLock lock(out->mutex_);
  if (!numbers.empty()) out->next_number_ = *numbers.rbegin() + 1;
  return out;
}

Status EventHistory::load(std::uint64_t number) {
  const std::string path = join_path(directory_, file_name(number));
  auto file = std::make_shared<File>();
  file->source = TRY(files_.open_readable(path, Access::kMap));
  file->bytes = file->source->mapped();
  if (file->bytes.empty()) {
    file->copy = TRY(read_file(files_, path, kFileBytesMax));
    file->bytes = as_bytes(file->copy);
  }
  TRY(file->check(clock_));
  MutexLock lock(mutex_);
  publish(number, std::move(file));
  return {};
}

void EventHistory::publish(std::uint64_t number, std::shared_ptr<const File> file) {
  std::set<std::int64_t> segments;
  for (std::uint32_t i = 0; i < file->entry_count; ++i) segments.insert(file->segment_at(i));
  for (const std::int64_t segment : segments) numbers_by_segment_[segment].push_back(number);
  files_by_number_[number] = std::move(file);
}

Status EventHistory::write(std::vector<EventSegment> segments) {
  if (segments.empty()) return {};
  std::sort(segments.begin(), segments.end(), [](const EventSegment& a, const EventSegment& b) {
    return std::tie(a.key, a.segment) < std::tie(b.key, b.segment);
  });
  std::string text(kMagic);
  put_be32(text, static_cast<std::uint32_t>(clock_.length.ms));
  std::string index;
  for (const EventSegment& segment : segments) {
    const std::string body = encode_segment(segment);
    index.append(as_text(Bytes(segment.key.bytes)));
    put_be64(index, static_cast<std::uint64_t>(segment.segment));
    put_be32(index, static_cast<std::uint32_t>(text.size()));
    put_be32(index, static_cast<std::uint32_t>(body.size()));
    text += body;
    if (text.size() > kFileBytesMax) return limit_exceeded("too many events for one file");
  }
  const std::uint64_t index_offset = text.size();
  text += index;
  put_be64(text, index_offset);
  put_be32(text, static_cast<std::uint32_t>(segments.size()));
  put_be32(text, crc32c(as_bytes(text)));
  MutexLock writing(writing_);
  std::uint64_t number = 0;
  {
    MutexLock lock(mutex_);
    number = next_number_++;
  }
  TRY(write_file_atomically(files_, join_path(directory_, file_name(number)), text));
  return load(number);
}

std::optional<EventSegment> EventHistory::find(const HistoryKey& key, std::int64_t segment) const {
  std::vector<std::shared_ptr<const File>> candidates;
  {
    MutexLock lock(mutex_);
    const auto found = numbers_by_segment_.find(segment);
    if (found == numbers_by_segment_.end()) return std::nullopt;
    for (auto at = found->second.rbegin(); at != found->second.rend(); ++at) {
      candidates.push_back(files_by_number_.at(*at));
    }
  }
  for (const std::shared_ptr<const File>& file : candidates) {
    const std::uint32_t i = file->lower_bound(key, segment);
    if (i == file->entry_count || file->key_at(i) != key || file->segment_at(i) != segment)
      continue;
    Result<EventSegment> out = decode_segment(file->body_at(i));
    if (!out.ok()) return std::nullopt;  // Its checksum was right: a file of another make.
    out->key = key;
    out->segment = segment;
    return std::move(*out);
  }
  return std::nullopt;
}

std::optional<std::int64_t> EventHistory::newest(const HistoryKey& key) const {
  std::optional<std::int64_t> out;
  MutexLock lock(mutex_);
  for (const auto& [number, file] : files_by_number_) {
    std::uint32_t i = file->lower_bound(key, file->segment_max);
    // The entry itself, or the last one before it.
    if (i == file->entry_count || file->key_at(i) != key) {
      if (i == 0) continue;
      --i;
    }
    if (file->key_at(i) == key)
      out = std::max(out.value_or(file->segment_at(i)), file->segment_at(i));
  }
  return out;
}

Status EventHistory::drop_before(std::int64_t segment) {
  MutexLock writing(writing_);
  std::vector<std::uint64_t> due;
  {
    MutexLock lock(mutex_);
    for (const auto& [number, file] : files_by_number_) {
      if (file->segment_max < segment) due.push_back(number);
    }
  }
  // What the disk keeps is known as long as it is there, and tried again with the next call. Oldest
  // first: what an older file says must not come back when the newer one is gone.
  Status outcome;
  std::vector<std::uint64_t> gone;
  for (const std::uint64_t number : due) {
    const std::string path = join_path(directory_, file_name(number));
    const Status removed = files_.remove_file(path);
    if (!removed.ok() && removed.code() != Code::kNotFound) {
      outcome = removed;
      break;
    }
    gone.push_back(number);
  }
  MutexLock lock(mutex_);
  for (const std::uint64_t number : gone) files_by_number_.erase(number);
  for (auto at = numbers_by_segment_.begin(); at != numbers_by_segment_.end();) {
    std::erase_if(at->second, [&](std::uint64_t n) {
      return std::find(gone.begin(), gone.end(), n) != gone.end();
    });
    at = at->second.empty() ? numbers_by_segment_.erase(at) : std::next(at);
  }
  return outcome;
}

std::uint64_t EventHistory::size_bytes() const {
  MutexLock lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& [number, file] : files_by_number_) bytes += file->bytes.size();
  return bytes;
}

std::size_t EventHistory::file_count() const {
  MutexLock lock(mutex_);
  return files_by_number_.size();
}

}  // namespace tarsier::alerting
