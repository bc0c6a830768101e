// Out-of-order samples of the head: taking them, keeping them apart until they are cut into blocks
// of their own, and showing them to selections.

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"
#include "tsdb/chunk/xor_chunk.h"
#include "tsdb/head/head.h"

namespace tarsier::tsdb {
namespace {

/// Records of the write-behind log that belong next to each other.
class LateRecords final {
 public:
  explicit LateRecords(WalCompression compression) : compression_(compression) {}

  void add(std::span<const MmapMarker> markers) {
    encode_markers(markers, plain_.emplace_back());
    finish();
  }
  void add(std::span<const RefSample> samples, std::span<const RefHistogram> histograms) {
    if (!samples.empty()) {
      encode_samples(samples, plain_.emplace_back());
      finish();
    }
    for (const RecordType type :
         {RecordType::kHistograms, RecordType::kCustomHistograms, RecordType::kFloatHistograms,
          RecordType::kCustomFloatHistograms}) {
      const bool has_any = std::any_of(
          histograms.begin(), histograms.end(),
          [&](const RefHistogram& one) { return record_type_of(one.histogram) == type; });
      if (!has_any) continue;
      encode_histograms(histograms, type, plain_.emplace_back());
      finish();
    }
  }
  std::span<const EncodedRecord* const> all() const { return records_; }

 private:
  void finish() {
    encoded_.emplace_back().encode(as_bytes(plain_.back()), compression_);
    records_.push_back(&encoded_.back());
  }

  const WalCompression compression_;
  std::deque<std::string> plain_;
  std::deque<EncodedRecord> encoded_;
  std::vector<const EncodedRecord*> records_;
};

}  // namespace

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
  note_late(slot, sample.t);
  metrics_.late_appended.add();
  return true;
}

bool Head::insert_late(Slot slot, Timestamp t, const AnyHistogram& histogram) {
  if (late_ == nullptr) late_ = std::make_shared<LateEpoch>(next_late_epoch_++);
  if (!late_->insert(slot, table_.info(slot).ref, t, histogram)) return false;
  note_late(slot, t);
  metrics_.late_histograms_appended.add();
  return true;
}

void Head::note_late(Slot slot, Timestamp t) {
  if (t.ms < late_min_time()) update_late_min_time();
  // A selection that is being made may lack a series without any sample before.
  if (table_.record(slot).chunk.t == kNoSample) ++lane_.first_sample_count;
  if (max_time() == INT64_MIN) return;
  metrics_.late_by_seconds.observe(static_cast<double>((Timestamp{max_time()} - t).ms) * 1e-3);
}

void Head::log_late(std::span<const RefSample> samples, std::span<const RefHistogram> histograms) {
  if (late_log_ == nullptr) return;
  unlogged_late_.insert(unlogged_late_.end(), samples.begin(), samples.end());
  unlogged_late_histograms_.insert(unlogged_late_histograms_.end(), histograms.begin(),
                                   histograms.end());
  if (unlogged_late_.empty() && unlogged_late_histograms_.empty()) return;
  LateRecords records(late_log_->compression());
  records.add(unlogged_late_, unlogged_late_histograms_);
  // They are visible already; should the log refuse, they wait until it does not.
  const bool is_logged = late_log_->append(records.all()).ok();
  if (is_logged) {
    unlogged_late_.clear();
    unlogged_late_histograms_.clear();
  }
  has_unlogged_late_.store(!is_logged, std::memory_order_release);
}

void Head::log_unlogged_late() {
  if (!has_unlogged_late()) return;
  MutexLock lock(commit_mutex_);
  log_late({}, {});
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
    std::vector<LateHistogram>& histograms = capture.late.histograms;
    LateCapture::Part part{static_cast<std::uint32_t>(index),
                           static_cast<std::uint32_t>(samples.size()),
                           0,
                           static_cast<std::uint32_t>(histograms.size()),
                           0,
                           series->has_histograms(),
                           series->newest};
    for (const Sample& sample : series->open()) {
      if (sample.t < capture.late_range.min || sample.t > capture.late_range.max) continue;
      samples.push_back(sample);
      ++part.count;
    }
    for (const LateHistogram& one : series->open_histograms()) {
      if (!capture.late_range.contains(one.t)) continue;
      histograms.push_back(one);
      ++part.histogram_count;
    }
    if (part.count == 0 && part.histogram_count == 0 && part.newest == nullptr) continue;
    capture.late.parts.push_back(part);
    is_any = true;
  }
  return is_any;
}

LateCapture Head::late_of(Slot slot, const LateEpochs& epochs, TimeRange range) const {
  Capture capture;
  capture.late_range = range;
  capture.late.epochs = epochs;
  MutexLock lock(commit_mutex_);
  capture_late(capture, slot, 0);
  return std::move(capture.late);
}

std::vector<Slot> Head::late_slots(const LateEpochs& epochs) const {
  std::vector<Slot> slots;
  {
    MutexLock lock(commit_mutex_);
    for (const auto& epoch : epochs) {
      for (const LateEpoch::Series& series : epoch->series()) {
        if (!series.is_empty()) slots.push_back(series.slot);
      }
    }
  }
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return slots;
}

// --- Deleting

Status Head::erase_late(std::span<const RefTombstone> late) {
  if (late.empty()) return {};
  if (late_log_ != nullptr) {
    // What waits to be logged was there before the deletion.
    log_late({}, {});
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
  std::vector<RefHistogram> histograms_again;
  std::vector<AnySample> samples;
  for (const LatePlace& place : places) {
    const Slot slot = table_.find(place.marker.ref);
    const LateEpoch::Series* const series = slot == SeriesRefs::kNone ? nullptr : epoch.find(slot);
    if (series == nullptr) continue;
    markers.push_back(place.marker);
    samples.clear();
    for (const SealedChunk* chunk = series->newest; chunk != nullptr && chunk != place.chunk;
         chunk = chunk->previous().chunk) {
      TRY(decode_any_chunk({ChunkEncoding{chunk->encoding()}, chunk->bytes()}, TimeRange{},
                           HeaderReset::kForgotten, samples));
    }
    for (AnySample& sample : samples) {
      if (const double* v = std::get_if<double>(&sample.value)) {
        again.push_back({place.marker.ref, sample.t, *v});
      } else {
        histograms_again.push_back(
            {place.marker.ref, sample.t, std::move(std::get<AnyHistogram>(sample.value))});
      }
    }
    for (const Sample& sample : series->open())
      again.push_back({place.marker.ref, sample.t, sample.v});
    for (const LateHistogram& one : series->open_histograms()) {
      histograms_again.push_back({place.marker.ref, one.t, *one.value});
    }
  }
  if (markers.empty()) return {};
  LateRecords records(late_log_->compression());
  records.add(markers);
  records.add(again, histograms_again);
  // Next to each other: a marker without what follows it would hide samples.
  return late_log_->append(records.all()).status();
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

Head::LateReplay Head::replay_late_histograms(std::span<RefHistogram> histograms) {
  LateReplay outcome;
  MutexLock lock(commit_mutex_);
  for (RefHistogram& one : histograms) {
    note_replayed(one.ref);
    const Slot slot = table_.find(one.ref);
    const bool is_valid =
        std::visit([](auto& h) { return prepare_for_storage(h).ok(); }, one.histogram);
    if (slot == SeriesRefs::kNone) {
      ++outcome.unknown_count;
    } else if (!is_valid) {
      ++outcome.invalid_count;
    } else {
      insert_late(slot, one.t, one.histogram);
    }
  }
  return outcome;
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
