#include "alerting/alert_journal.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "alerting/journal_record.h"
#include "base/crc32c.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

constexpr std::string_view kPrefix = "journal-";
constexpr std::string_view kTemporary = "journal.tmp";
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 30;
/// Below this a rewrite saves nothing worth its sync.
constexpr std::uint64_t kRewriteBytesMin = std::uint64_t{1} << 20;
constexpr std::uint64_t kRewriteGrowth = 4;

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

}  // namespace

std::string rule_owner(std::string_view group_key, std::string_view rule_identity,
                       std::size_t ordinal) {
  return fmt::format("rule;{};{};{}", group_key, rule_identity, ordinal);
}

JournalReading read_journal(Bytes file) {
  JournalReading out;
  // What is too old is whoever opens the journal to say.
  out.image.history.set_limits({.age_max = Duration{std::numeric_limits<std::int64_t>::max()}});
  if (file.empty()) return out;
  const std::string_view text = as_text(file);
  if (!text.starts_with(kJournalMagic) && !text.starts_with(kFormerJournalMagic)) {
    out.damage = corruption("not a journal of alerts");
    return out;
  }
  ByteReader header(file.subspan(kJournalMagic.size()));
  out.image.position.value = header.be64();
  if (!header.ok()) {
    out.damage = corruption("the header is cut off");
    return out;
  }
  std::uint64_t offset = kJournalMagic.size() + header.offset();
  out.good_bytes = offset;
  const auto stop = [&](std::string_view why) {
    out.damage = corruption(fmt::format("{} at offset {}", why, offset));
    return out;
  };
  while (offset < file.size()) {
    ByteReader frame(file.subspan(offset));
    const std::uint32_t size = frame.be32();
    const std::uint32_t checksum = frame.be32();
    if (!frame.ok()) return stop("a record is cut off");
    if (size > kJournalRecordBytesMax) return stop("a record is too long");
    const Bytes body = frame.take(size);
    if (!frame.ok()) return stop("a record is cut off");
    if (crc32c(body) != checksum) return stop("a record has a wrong checksum");
    ByteReader in(body);
    const JournalPosition position{in.uvarint()};
    if (!in.ok() || position < out.image.position) return stop("a record is out of order");
    if (!apply_payload(out.image, body.subspan(in.offset())).ok()) {
      return stop("a record is malformed");
    }
    out.image.position = position;
    offset += frame.offset();
    out.good_bytes = offset;
  }
  return out;
}

AlertJournal::AlertJournal(FileSystem& files, std::string directory, Logger& log)
    : files_(files), directory_(std::move(directory)), log_(log) {}

AlertJournal::~AlertJournal() { static_cast<void>(sync(position())); }

Result<std::unique_ptr<AlertJournal>> AlertJournal::open(FileSystem& files, std::string directory,
                                                         Logger& log, AlertHistoryLimits history) {
  TRY(files.create_directories(directory));
  // The names of the directories must survive a power cut, too.
  TRY(files.sync_directory(parent_path(directory)));
  TRY(files.sync_directory(parent_path(parent_path(directory))));
  std::unique_ptr<AlertJournal> journal(new AlertJournal(files, std::move(directory), log));
  std::uint64_t newest = 0;
  for (const DirectoryEntry& entry : TRY(files.list(journal->directory_))) {
    if (const auto number = number_of(entry.name)) newest = std::max(newest, *number);
  }
  MutexLock lock(journal->mutex_);
  if (newest > 0) {
    const std::string path = join_path(journal->directory_, file_name(newest));
    const std::string text = TRY(read_file(files, path, kFileBytesMax));
    JournalReading reading = read_journal(as_bytes(text));
    if (!reading.damage.ok()) {
      log.warn("The journal of alerts has a damaged tail; what came before it is used",
               {{"file", path}, {"err", reading.damage.message()}});
      TRY(write_file_atomically(files, join_path(journal->directory_, "damaged"), text));
    }
    journal->image_ = std::move(reading.image);
    journal->file_number_ = newest;
  }
  journal->image_.history.set_limits(history);
  // Always into a new file: no torn tail is ever appended to.
  TRY(journal->rewrite());
  for (const DirectoryEntry& entry : TRY(files.list(journal->directory_))) {
    const auto number = number_of(entry.name);
    const bool is_old = number && *number < journal->file_number_;
    if (!is_old && entry.name != kTemporary) continue;
    TRY(files.remove_file(join_path(journal->directory_, entry.name)));
  }
  return journal;
}

JournalPosition AlertJournal::append(std::string_view payload) {
  ++image_.position.value;
  if (!failure_.ok()) return image_.position;
  append_framed(pending_, image_.position, payload);
  return image_.position;
}

void AlertJournal::note(std::string_view owner, std::optional<AlertEvent> event) {
  if (!event) return;
  event->owner = owner;
  append(encode_event(*event));
  image_.history.add(std::move(*event));
}

JournalPosition AlertJournal::mark(AlertEventKind kind, Timestamp at) {
  MutexLock lock(mutex_);
  note("process", AlertEvent{.at = at, .owner = {}, .labels = {}, .kind = kind});
  return image_.position;
}

JournalPosition AlertJournal::put(std::string_view owner, const AlertRecord& record, Timestamp at) {
  const std::string payload = encode_put(owner, record);
  MutexLock lock(mutex_);
  auto found = image_.alerts.find(owner);
  if (found == image_.alerts.end()) {
    found = image_.alerts.emplace(owner, std::map<tsdb::Labels, AlertRecord>()).first;
  }
  const auto known = found->second.find(record.labels);
  note(owner, event_between(known == found->second.end() ? nullptr : &known->second, &record, at));
  found->second.insert_or_assign(record.labels, record);
  return append(payload);
}

JournalPosition AlertJournal::erase(std::string_view owner, const tsdb::Labels& labels,
                                    Timestamp at) {
  const std::string payload = encode_erase(owner, labels);
  MutexLock lock(mutex_);
  const auto found = image_.alerts.find(owner);
  if (found != image_.alerts.end()) {
    const auto known = found->second.find(labels);
    if (known != found->second.end()) {
      note(owner, event_between(&known->second, nullptr, at));
      found->second.erase(known);
    }
    if (found->second.empty()) image_.alerts.erase(found);
  }
  return append(payload);
}

JournalPosition AlertJournal::drop(std::string_view owner, Timestamp at) {
  const std::string payload = encode_drop(owner);
  MutexLock lock(mutex_);
  const auto found = image_.alerts.find(owner);
  if (found == image_.alerts.end()) return image_.position;
  for (const auto& [labels, record] : found->second) {
    note(owner, event_between(&record, nullptr, at));
  }
  image_.alerts.erase(found);
  return append(payload);
}

JournalPosition AlertJournal::sent(std::string_view owner, const tsdb::Labels& labels,
                                   Timestamp at) {
  const std::string payload = encode_sent(owner, labels, at);
  MutexLock lock(mutex_);
  const auto found = image_.alerts.find(owner);
  if (found == image_.alerts.end()) return image_.position;
  const auto alert = found->second.find(labels);
  if (alert == found->second.end()) return image_.position;
  alert->second.last_sent = at;
  return append(payload);
}

JournalPosition AlertJournal::evaluated(std::string_view group, Timestamp at) {
  const std::string payload = encode_evaluated(group, at);
  MutexLock lock(mutex_);
  image_.evaluated.insert_or_assign(std::string(group), at);
  return append(payload);
}

JournalPosition AlertJournal::forget(std::string_view group) {
  const std::string payload = encode_forget(group);
  MutexLock lock(mutex_);
  const auto found = image_.evaluated.find(group);
  if (found == image_.evaluated.end()) return image_.position;
  image_.evaluated.erase(found);
  return append(payload);
}

Status AlertJournal::recover() {
  while (!failure_.ok() && is_flushing_) flushed_.wait(mutex_);
  if (failure_.ok()) return {};
  // The old file is never asked again; everything it should say is in memory.
  TRY(rewrite());
  failure_ = {};
  log_.info("The journal of alerts is written again");
  return {};
}

Status AlertJournal::sync(JournalPosition position) {
  MutexLock lock(mutex_);
  TRY(recover());
  while (failure_.ok() && synced_ < position) {
    if (is_flushing_) {
      flushed_.wait(mutex_);
    } else {
      static_cast<void>(flush(true));
    }
  }
  return failure_;
}

Status AlertJournal::write() {
  MutexLock lock(mutex_);
  TRY(recover());
  while (failure_.ok() && is_flushing_) flushed_.wait(mutex_);
  return failure_.ok() && !pending_.empty() ? flush(false) : failure_;
}

/// The lock is free while the disk works; `is_flushing_` keeps the file to one thread.
Status AlertJournal::flush(bool is_synced) NO_THREAD_SAFETY_ANALYSIS {
  is_flushing_ = true;
  const std::string bytes = std::exchange(pending_, {});
  const JournalPosition upto = image_.position;
  mutex_.unlock();
  Status outcome = bytes.empty() ? Status() : file_->append(as_bytes(bytes));
  if (outcome.ok() && is_synced) outcome = file_->sync();
  mutex_.lock();
  file_bytes_ += bytes.size();
  if (outcome.ok()) {
    if (is_synced) {
      synced_ = upto;
      syncs_.add();
    }
    const std::uint64_t allowed = std::max(kRewriteBytesMin, kRewriteGrowth * image_bytes_);
    if (is_synced && file_bytes_ > allowed) outcome = rewrite();
  }
  if (!outcome.ok()) {
    failure_ = outcome;
    log_.error("The journal of alerts failed; until it works again a restart remembers nothing new",
               {{"err", outcome.message()}});
  }
  is_flushing_ = false;
  flushed_.notify_all();
  return failure_;
}

/// What it holds is small (alerts that are active), and it is rare: the lock stays taken.
Status AlertJournal::rewrite() {
  std::string text(kJournalMagic);
  put_be64(text, image_.position.value);
  for (const AlertEvent& event : image_.history.events()) {
    append_framed(text, image_.position, encode_event(event));
  }
  for (const auto& [group, at] : image_.evaluated) {
    append_framed(text, image_.position, encode_evaluated(group, at));
  }
  for (const auto& [owner, alerts] : image_.alerts) {
    for (const auto& [labels, record] : alerts) {
      append_framed(text, image_.position, encode_put(owner, record));
    }
  }
  const std::string temporary = join_path(directory_, kTemporary);
  const std::string next = join_path(directory_, file_name(file_number_ + 1));
  std::unique_ptr<WritableFile> file = TRY(files_.open_writable(temporary, OpenMode::kTruncate));
  TRY(file->append(as_bytes(text)));
  TRY(file->sync());
  TRY(files_.rename(temporary, next));
  TRY(files_.sync_directory(directory_));
  const std::string former = join_path(directory_, file_name(file_number_));
  if (file_ && file_number_ > 0) static_cast<void>(files_.remove_file(former));
  file_ = std::move(file);
  ++file_number_;
  file_bytes_ = image_bytes_ = text.size();
  pending_.clear();  // The image has it.
  synced_ = image_.position;
  return {};
}

JournalPosition AlertJournal::position() const {
  MutexLock lock(mutex_);
  return image_.position;
}

std::vector<AlertRecord> AlertJournal::alerts_of(std::string_view owner) const {
  MutexLock lock(mutex_);
  std::vector<AlertRecord> out;
  const auto found = image_.alerts.find(owner);
  if (found == image_.alerts.end()) return out;
  for (const auto& [labels, record] : found->second) out.push_back(record);
  return out;
}

std::vector<std::string> AlertJournal::owners() const {
  MutexLock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [owner, alerts] : image_.alerts) out.push_back(owner);
  return out;
}

std::optional<Timestamp> AlertJournal::last_evaluation(std::string_view group) const {
  MutexLock lock(mutex_);
  const auto found = image_.evaluated.find(group);
  if (found == image_.evaluated.end()) return std::nullopt;
  return found->second;
}

std::vector<AlertEvent> AlertJournal::history(const AlertEventFilter& filter) const {
  MutexLock lock(mutex_);
  return image_.history.find(filter);
}

void AlertJournal::collect(MetricWriter& out) const {
  double bytes = 0;
  double history_bytes = 0;
  double alerts = 0;
  double is_failed = 0;
  {
    MutexLock lock(mutex_);
    bytes = static_cast<double>(file_bytes_);
    for (const auto& [owner, records] : image_.alerts)
      alerts += static_cast<double>(records.size());
    history_bytes = static_cast<double>(image_.history.size_bytes());
    is_failed = failure_.ok() ? 0 : 1;
  }
  out.gauge("tarsier_alert_journal_bytes", "Size of the journal of alert states.", bytes);
  out.gauge("tarsier_alert_history_bytes", "Memory of what happened to alerts.", history_bytes);
  out.gauge("tarsier_alert_journal_alerts", "Alerts whose state the journal keeps.", alerts);
  out.gauge("tarsier_alert_journal_failed",
            "1 after the disk refused a write: a restart will not remember alert states.",
            is_failed);
  out.counter("tarsier_alert_journal_syncs_total", "Times the journal was synced to disk.",
              static_cast<double>(syncs_.value()));
}

}  // namespace tarsier::alerting
