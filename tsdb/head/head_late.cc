// Out-of-order samples of the head: taking them, keeping them apart until they are cut into blocks
// of their own, and showing them to selections.

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {

void Head::attach_late_log(GroupCommitLog* log) {
  MutexLock lock(commit_mutex_);
  late_log_ = log;
}

void Head::set_out_of_order_window(Duration window) {
  out_of_order_window_ms_.store(std::max<std::int64_t>(window.ms, 0), std::memory_order_relaxed);
}

std::int64_t Head::late_bound() const {
  const std::int64_t window = out_of_order_window_ms_.load(std::memory_order_relaxed);
  if (window == 0) return INT64_MAX;
  // With nothing in the head its newest is what the newest block ends with.
  const std::int64_t newest = std::max(max_time(), min_valid_time_.load(std::memory_order_relaxed));
  return newest == INT64_MIN ? INT64_MIN + 1 : (Timestamp{newest} - Duration{window}).ms;
}

bool Head::has_late(Slot slot) const {
  return (late_ != nullptr && late_->find(slot) != nullptr) ||
         (frozen_late_ != nullptr && frozen_late_->find(slot) != nullptr);
}

void Head::update_late_min_time() {
  std::int64_t oldest = INT64_MAX;
  if (late_ != nullptr) oldest = std::min(oldest, late_->min_t());
  if (frozen_late_ != nullptr) oldest = std::min(oldest, frozen_late_->min_t());
  late_min_time_.store(oldest, std::memory_order_release);
}

bool Head::insert_late(Slot slot, Sample sample) {
  if (late_ == nullptr) late_ = std::make_shared<LateEpoch>(next_late_epoch_++);
  if (!late_->insert(slot, table_.info(slot).ref, sample)) return false;
  if (sample.t.ms < late_min_time()) update_late_min_time();
  // A selection that is being made may lack a series without any sample before.
  if (table_.record(slot).chunk.t == kNoSample) ++lane_.first_sample_count;
  metrics_.late_appended.add();
  const std::int64_t late_by_ms = max_time() - sample.t.ms;
  if (max_time() != INT64_MIN) {
    metrics_.late_by_seconds.observe(static_cast<double>(late_by_ms) * 1e-3);
  }
  return true;
}

void Head::log_late(std::span<const RefSample> late) {
  if (late_log_ == nullptr) return;
  unlogged_late_.insert(unlogged_late_.end(), late.begin(), late.end());
  if (unlogged_late_.empty()) return;
  std::string plain;
  encode_samples(unlogged_late_, plain);
  EncodedRecord record;
  record.encode(as_bytes(plain), late_log_->compression());
  // They are visible already; should the log refuse, they wait until it does not.
  const bool is_logged = late_log_->append(record).ok();
  if (is_logged) unlogged_late_.clear();
  has_unlogged_late_.store(!is_logged, std::memory_order_release);
}

void Head::log_unlogged_late() {
  if (!has_unlogged_late()) return;
  MutexLock lock(commit_mutex_);
  log_late({});
}

// --- Reading

Head::LateEpochs Head::late_epochs() const {
  LateEpochs epochs;
  if (late_min_time() == INT64_MAX) return epochs;  // Nearly always; what comes later is captured.
  MutexLock lock(commit_mutex_);
  if (frozen_late_ != nullptr) epochs.push_back(frozen_late_);
  if (late_ != nullptr) epochs.push_back(late_);
  return epochs;
}

bool Head::capture_late(Capture& capture, Slot slot, std::size_t index) const {
  bool is_any = false;
  for (const auto& epoch : capture.late.epochs) {
    const LateEpoch::Series* const series = epoch->find(slot);
    // A slot is another series' when the one it was left the head, which it does not while the
    // epoch is listed; an epoch held from before may be older than the slot's series.
    if (series == nullptr || series->ref != table_.info(slot).ref || series->is_empty()) continue;
    if (series->min_t > capture.late_range.max.ms || series->max_t < capture.late_range.min.ms) {
      continue;
    }
    std::vector<Sample>& samples = capture.late.samples;
    LateCapture::Part part{static_cast<std::uint32_t>(index),
                           static_cast<std::uint32_t>(samples.size()), 0, series->newest};
    for (const Sample& sample : series->open()) {
      if (sample.t < capture.late_range.min || sample.t > capture.late_range.max) continue;
      samples.push_back(sample);
      ++part.count;
    }
    if (part.count == 0 && part.newest == nullptr) continue;
    capture.late.parts.push_back(part);
    is_any = true;
  }
  return is_any;
}

// --- Deleting

Status Head::erase_late(std::span<const RefTombstone> late) {
  if (late.empty()) return {};
  if (late_log_ != nullptr) {
    // What waits to be logged was there before the deletion.
    log_late({});
    if (has_unlogged_late()) {
      return unavailable("the log of out-of-order samples cannot be written");
    }
    std::string plain;
    encode_tombstones(late, plain);
    EncodedRecord record;
    record.encode(as_bytes(plain), late_log_->compression());
    TRY(late_log_->append(record));
  }
  for (const RefTombstone& one : late) {
    const Slot slot = table_.find(one.ref);
    if (slot == SeriesRefs::kNone) continue;
    for (LateEpoch* const epoch : {frozen_late_.get(), late_.get()}) {
      if (epoch != nullptr) TRY(epoch->erase(slot, {one.min, one.max}));
    }
  }
  update_late_min_time();
  return {};
}

// --- Cutting

Result<std::optional<Head::FrozenLate>> Head::freeze_late() {
  MutexLock lock(commit_mutex_);
  if (frozen_late_ == nullptr) {
    if (late_ == nullptr) return std::optional<FrozenLate>();
    FrozenLate frozen;
    if (late_log_ != nullptr) frozen.segment = TRY(late_log_->begin_segment());
    frozen_late_ = std::exchange(late_, nullptr);
    frozen.epoch = frozen_late_;
    frozen.logged_before.log = log_end();
    if (late_log_ != nullptr) frozen.logged_before.late_log = late_log_->appended_position();
    return std::optional(std::move(frozen));
  }
  return std::optional<FrozenLate>();
}

void Head::drop_frozen_late() {
  std::shared_ptr<LateEpoch> dropped;
  MutexLock lock(commit_mutex_);
  dropped.swap(frozen_late_);
  update_late_min_time();
}

std::uint64_t Head::oldest_late_epoch() const {
  MutexLock lock(commit_mutex_);
  if (frozen_late_ != nullptr) return frozen_late_->number();
  return late_ != nullptr ? late_->number() : next_late_epoch_;
}

Status Head::log_markers(const LateEpoch& epoch, std::span<const LatePlace> places) {
  MutexLock lock(commit_mutex_);
  // Of a frozen epoch the whole log will soon be gone.
  if (late_log_ == nullptr || late_.get() != &epoch || places.empty()) return {};
  std::vector<MmapMarker> markers;
  std::vector<RefSample> again;
  SampleColumns columns;
  for (const LatePlace& place : places) {
    const Slot slot = table_.find(place.marker.ref);
    const LateEpoch::Series* const series = slot == SeriesRefs::kNone ? nullptr : epoch.find(slot);
    if (series == nullptr) continue;
    markers.push_back(place.marker);
    columns.clear();
    for (const SealedChunk* chunk = series->newest; chunk != nullptr && chunk != place.chunk;
         chunk = chunk->previous) {
      TRY(decode_xor_chunk(chunk->bytes(), TimeRange{}, columns));
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      again.push_back({place.marker.ref, Timestamp{columns.times_ms[i]}, columns.values[i]});
    }
    for (const Sample& sample : series->open())
      again.push_back({place.marker.ref, sample.t, sample.v});
  }
  if (markers.empty()) return {};
  std::deque<std::string> plain;
  std::deque<EncodedRecord> encoded;
  std::vector<const EncodedRecord*> records;
  const auto compression = late_log_->compression();
  const auto add = [&] {
    encoded.emplace_back().encode(as_bytes(plain.back()), compression);
    records.push_back(&encoded.back());
  };
  encode_markers(markers, plain.emplace_back());
  add();
  if (!again.empty()) {
    encode_samples(again, plain.emplace_back());
    add();
  }
  // Next to each other: a marker without what follows it would hide samples.
  return late_log_->append(records).status();
}

// --- Replay

std::size_t Head::replay_late(std::span<const RefSample> samples) {
  MutexLock lock(commit_mutex_);
  std::size_t unknown_count = 0;
  for (const RefSample& sample : samples) {
    note_replayed(sample.ref);
    const Slot slot = table_.find(sample.ref);
    if (slot == SeriesRefs::kNone) {
      ++unknown_count;
      continue;
    }
    insert_late(slot, {sample.t, sample.v});
  }
  return unknown_count;
}

void Head::replay_late_tombstones(std::span<const RefTombstone> tombstones) {
  MutexLock lock(commit_mutex_);
  for (const RefTombstone& one : tombstones) {
    note_replayed(one.ref);
    const Slot slot = table_.find(one.ref);
    // Of what was just built in memory nothing is unreadable.
    if (slot != SeriesRefs::kNone && late_ != nullptr) {
      CHECK(late_->erase(slot, {one.min, one.max}).ok());
    }
  }
  update_late_min_time();
}

}  // namespace tarsier::tsdb
