#include "tracing/decision_log.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace tarsier::tracing {
namespace {

constexpr std::string_view kLogSuffix = ".log";
constexpr std::string_view kSealedSuffix = ".sealed";
constexpr const char* kDamagedSuffix = ".damaged";
/// Of a log: less is one that a crash kept from beginning.
constexpr std::size_t kHeaderBytes = 16;
constexpr std::uint64_t kLogBytesMax = std::uint64_t{256} << 20;

/// The number of "00000007<suffix>".
std::optional<std::uint32_t> number_in(std::string_view name, std::string_view suffix) {
  if (name.size() != 8 + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  std::uint32_t out = 0;
  const auto read = std::from_chars(name.data(), name.data() + 8, out);
  if (read.ec != std::errc() || read.ptr != name.data() + 8) return std::nullopt;
  return out;
}

}  // namespace

std::string DecisionLog::path_of(std::uint32_t number, std::string_view suffix) const {
  return join_path(directory_, fmt::format("{:08}{}", number, suffix));
}

Result<std::unique_ptr<DecisionLog>> DecisionLog::open(FileSystem& files,
                                                       const std::string& directory,
                                                       const Options& options, Timestamp now,
                                                       Logger& log) {
  auto out = std::unique_ptr<DecisionLog>(new DecisionLog(files, directory, options, log));
  TRY(files.create_directories(directory));
  TRY(files.sync_directory(parent_path(directory)));
  TRY(out->load(now));
  return out;
}

Status DecisionLog::load(Timestamp now) {
  std::vector<std::uint32_t> logs;
  std::vector<std::uint32_t> sealed;
  for (const DirectoryEntry& entry : TRY(files_.list(directory_))) {
    if (const auto number = number_in(entry.name, kLogSuffix)) logs.push_back(*number);
    if (const auto number = number_in(entry.name, kSealedSuffix)) sealed.push_back(*number);
  }
  for (const std::uint32_t number : sealed) {
    next_number_ = std::max(next_number_, number + 1);
    if (const Status status = load_sealed(number); !status.ok()) {
      log_.warn("Decisions of a while are lost", {{"err", status.message()}});
    }
  }
  for (const std::uint32_t number : logs) {
    next_number_ = std::max(next_number_, number + 1);
    const bool is_sealed = std::find(sealed.begin(), sealed.end(), number) != sealed.end();
    // The end of a seal that was interrupted.
    if (is_sealed) {
      TRY(files_.remove_file(path_of(number, kLogSuffix)));
    } else {
      TRY(load_log(number));
    }
  }
  {
    const MutexLock lock(mutex_);
    std::sort(segments_.begin(), segments_.end(),
              [](const Segment& a, const Segment& b) { return a.number < b.number; });
    trim_memory();
  }
  return begin_segment(now);
}

Status DecisionLog::load_sealed(std::uint32_t number) {
  Segment segment{.number = number};
  segment.sealed = TRY(SealedDecisions::open(files_, path_of(number, kSealedSuffix)));
  segment.begin = segment.sealed->begin();
  segment.table = TRY(segment.sealed->load(files_));
  const MutexLock lock(mutex_);
  segments_.push_back(std::move(segment));
  trim_memory();
  return {};
}

Status DecisionLog::load_log(std::uint32_t number) {
  const std::string path = path_of(number, kLogSuffix);
  const std::string contents = TRY(read_file(files_, path, kLogBytesMax));
  std::size_t whole_bytes = 0;
  Result<std::unique_ptr<DecisionTable>> table = read_decision_log(contents, whole_bytes);
  if (!table.ok() && contents.size() > kHeaderBytes) {
    log_.warn("Decisions of a while are lost; their file is set aside",
              {{"file", path + kDamagedSuffix}, {"err", table.status().message()}});
    return files_.rename(path, path + kDamagedSuffix);
  }
  if (!table.ok() || (*table)->size() == 0) return files_.remove_file(path);
  // Sealed at once: what a crash left is not appended to.
  const std::string sealed_path = path_of(number, kSealedSuffix);
  TRY(write_file_atomically(files_, sealed_path, encode_sealed_decisions(**table)));
  Segment segment{.number = number, .table = std::move(table).value()};
  segment.begin = segment.table->begin();
  segment.sealed = TRY(SealedDecisions::open(files_, sealed_path));
  {
    const MutexLock lock(mutex_);
    segments_.push_back(std::move(segment));
  }
  return files_.remove_file(path);
}

Status DecisionLog::begin_segment(Timestamp now) {
  const std::uint32_t number = next_number_++;
  file_ = TRY(files_.open_writable(path_of(number, kLogSuffix), OpenMode::kTruncate));
  TRY(file_->append(as_bytes(encode_log_header(now))));
  TRY(files_.sync_directory(directory_));
  const MutexLock lock(mutex_);
  // An open segment nobody wrote to leaves no trace; its file is found empty by the next start.
  if (!segments_.empty() && !segments_.back().sealed && segments_.back().table->size() == 0) {
    segments_.pop_back();
  }
  segments_.push_back({.number = number,
                       .table = std::make_shared<DecisionTable>(now),
                       .sealed = {},
                       .begin = now});
  names_written_ = 0;
  return {};
}

void DecisionLog::trim_memory() {
  std::uint64_t bytes = 0;
  for (std::size_t i = segments_.size(); i-- > 0;) {
    Segment& segment = segments_[i];
    if (!segment.table) continue;
    bytes += segment.table->memory_bytes();
    if (bytes > options_.memory_bytes_max && segment.sealed) segment.table.reset();
  }
}

void DecisionLog::remember(TraceId id, const SamplingDecision& decision,
                           const DecisionInputs& inputs) {
  const TraceFingerprint fingerprint = fingerprint_of(id);
  remembered_.add();
  const MutexLock lock(mutex_);
  Segment& segment = segments_.back();
  const std::int64_t seconds =
      std::max<std::int64_t>(0, (decision.decided_at - segment.begin).ms) / 1000;
  PackedDecision::Parts parts{
      .is_kept = decision.is_kept,
      .trigger = decision.trigger,
      .inputs = inputs,
      .policy_number = segment.table->number_of(decision.policy),
      .threshold = decision.threshold,
      .seconds = static_cast<std::uint32_t>(std::min<std::int64_t>(seconds, kSegmentSecondsMax))};
  // Not every exact weight is a threshold others may read; it is one we can remember it by.
  if (!parts.threshold && decision.adjusted_count >= 1) {
    parts.threshold = threshold_of(1 / decision.adjusted_count);
  }
  const PackedDecision packed = PackedDecision::pack(parts);
  segment.table->put(fingerprint, packed);
  pending_.push_back({fingerprint, packed});
}

DecisionLog::Memory DecisionLog::memory_of(const PackedDecision& packed, std::string_view policy,
                                           Timestamp begin) {
  const PackedDecision::Parts parts = packed.unpack();
  Memory out{.decision = {.is_kept = parts.is_kept,
                          .policy = std::string(policy),
                          .trigger = parts.trigger,
                          .decided_at = begin + seconds(parts.seconds),
                          .threshold = parts.threshold},
             .inputs = parts.inputs};
  if (parts.threshold && *parts.threshold < kKeepNone && parts.is_kept) {
    out.decision.adjusted_count = parts.threshold->adjusted_count();
  }
  return out;
}

std::optional<DecisionLog::Memory> DecisionLog::recall(TraceId id) const {
  const TraceFingerprint fingerprint = fingerprint_of(id);
  const MutexLock lock(mutex_);
  for (std::size_t i = segments_.size(); i-- > 0;) {
    const Segment& segment = segments_[i];
    if (!segment.table) continue;
    const auto found = segment.table->find(fingerprint);
    if (!found) continue;
    return memory_of(*found, segment.table->policy(found->unpack().policy_number), segment.begin);
  }
  return std::nullopt;
}

Result<std::optional<DecisionLog::Memory>> DecisionLog::find(TraceId id) const {
  if (auto found = recall(id)) return found;
  std::vector<std::shared_ptr<const SealedDecisions>> on_disk;
  {
    const MutexLock lock(mutex_);
    for (const Segment& segment : segments_) {
      if (!segment.table && segment.sealed) on_disk.push_back(segment.sealed);
    }
  }
  const TraceFingerprint fingerprint = fingerprint_of(id);
  Status trouble;
  for (std::size_t i = on_disk.size(); i-- > 0;) {
    const SealedDecisions& sealed = *on_disk[i];
    const auto found = sealed.find(files_, fingerprint);
    if (!found.ok()) {
      // Gone by age between the list and the read is nothing to tell.
      if (found.status().code() != Code::kNotFound && trouble.ok()) trouble = found.status();
      continue;
    }
    if (!found->has_value()) continue;
    const PackedDecision packed = found->value();
    return std::optional(
        memory_of(packed, sealed.policy(packed.unpack().policy_number), sealed.begin()));
  }
  if (!trouble.ok()) return trouble;
  return std::optional<Memory>();
}

Status DecisionLog::write_pending() {
  std::string out;
  std::vector<DecisionTable::Entry> entries;
  std::size_t names = 0;
  {
    const MutexLock lock(mutex_);
    entries.swap(pending_);
    const DecisionTable& table = *segments_.back().table;
    for (names = names_written_; names < table.names().size(); ++names) {
      append_name_frame(out, static_cast<std::uint32_t>(names + 1), table.names()[names]);
    }
  }
  if (entries.empty()) return {};
  append_decision_frame(out, entries);
  const Status status = file_ ? file_->append(as_bytes(out)) : io_error("no decision log is open");
  const MutexLock lock(mutex_);
  if (!status.ok()) {
    // The file's tail is unknown now: the segment is sealed from memory, and these are in it.
    file_.reset();
    return status;
  }
  names_written_ = names;
  is_synced_ = false;
  return {};
}

Status DecisionLog::seal_oldest_open() {
  std::shared_ptr<DecisionTable> table;
  std::uint32_t number = 0;
  {
    const MutexLock lock(mutex_);
    table = segments_.back().table;
    number = segments_.back().number;
  }
  file_.reset();
  // Remembering goes on in this table until the next segment is begun: encoded under the lock,
  // which a quarter of a million decisions hold for some ten milliseconds.
  std::string contents;
  {
    const MutexLock lock(mutex_);
    contents = encode_sealed_decisions(*table);
    pending_.clear();
  }
  const std::string path = path_of(number, kSealedSuffix);
  TRY(write_file_atomically(files_, path, contents));
  std::shared_ptr<const SealedDecisions> sealed = TRY(SealedDecisions::open(files_, path));
  {
    const MutexLock lock(mutex_);
    segments_.back().sealed = std::move(sealed);
  }
  is_synced_ = true;
  const Status removed = files_.remove_file(path_of(number, kLogSuffix));
  return removed.code() == Code::kNotFound ? Status() : removed;
}

Status DecisionLog::flush(Timestamp now) {
  const Status written = write_pending();
  bool is_full = false;
  bool is_empty = false;
  std::vector<DecisionTable::Entry> strays;
  {
    const MutexLock lock(mutex_);
    const Segment& open = segments_.back();
    is_empty = open.table->size() == 0;
    is_full = !is_empty && (now - open.begin >= options_.segment_duration ||
                            open.table->size() >= options_.segment_decisions_max);
  }
  if (is_full || !file_) {
    if (is_empty) {
      TRY(begin_segment(now));
      return written;
    }
    TRY(seal_oldest_open());
    TRY(begin_segment(now));
    // Decisions that came between the seal and the new segment are in the old table alone.
    const MutexLock lock(mutex_);
    Segment& old = segments_[segments_.size() - 2];
    for (const DecisionTable::Entry& entry : pending_) {
      PackedDecision::Parts parts = entry.decision.unpack();
      parts.policy_number =
          segments_.back().table->number_of(old.table->policy(parts.policy_number));
      parts.seconds = 0;
      strays.push_back({entry.fingerprint, PackedDecision::pack(parts)});
      segments_.back().table->put(strays.back().fingerprint, strays.back().decision);
    }
    pending_ = std::move(strays);
    trim_memory();
  }
  drop_old(now);
  return {};
}

void DecisionLog::drop_old(Timestamp now) {
  std::vector<std::uint32_t> gone;
  {
    const MutexLock lock(mutex_);
    std::uint64_t bytes = 0;
    for (const Segment& segment : segments_)
      bytes += segment.sealed ? segment.sealed->file_bytes() : 0;
    while (segments_.size() > 1 && segments_.front().sealed) {
      // A segment goes when its end, the next one's beginning, is too old.
      const bool is_old = now - segments_[1].begin > options_.retention;
      if (!is_old && bytes <= options_.disk_bytes_max) break;
      bytes -= segments_.front().sealed->file_bytes();
      gone.push_back(segments_.front().number);
      segments_.pop_front();
    }
  }
  for (const std::uint32_t number : gone) {
    const Status status = files_.remove_file(path_of(number, kSealedSuffix));
    if (!status.ok()) log_.warn("An old file of decisions stays", {{"err", status.message()}});
  }
}

Status DecisionLog::sync() {
  TRY(write_pending());
  if (is_synced_ || !file_) return {};
  const Status status = file_->sync();
  if (!status.ok()) {
    file_.reset();  // The next flush seals the segment from memory.
    return status;
  }
  is_synced_ = true;
  return {};
}

Duration DecisionLog::covered(Timestamp now) const {
  const MutexLock lock(mutex_);
  return now - segments_.front().begin;
}

void DecisionLog::collect(MetricWriter& out, Timestamp now) const {
  std::uint64_t disk = 0;
  std::uint64_t memory = 0;
  std::uint64_t decisions = 0;
  {
    const MutexLock lock(mutex_);
    for (const Segment& segment : segments_) {
      if (segment.table) memory += segment.table->memory_bytes();
      if (segment.sealed) disk += segment.sealed->file_bytes();
      decisions += segment.sealed ? segment.sealed->decision_count() : segment.table->size();
    }
  }
  out.gauge("tarsier_sampling_decision_log_covered_seconds",
            "How far back the decision on a trace can be found.",
            static_cast<double>(covered(now).ms) / 1000);
  out.gauge("tarsier_sampling_decision_log_decisions", "Decisions that can be found.",
            static_cast<double>(decisions));
  out.gauge("tarsier_sampling_decision_log_disk_bytes", "Size of the sealed decisions on disk.",
            static_cast<double>(disk));
  out.gauge("tarsier_sampling_decision_log_memory_bytes",
            "Size of the tables that late spans are looked up in.", static_cast<double>(memory));
  out.counter("tarsier_sampling_decisions_remembered_total", "Decisions remembered.",
              static_cast<double>(remembered_.value()));
}

}  // namespace tarsier::tracing
