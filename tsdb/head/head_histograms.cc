// The head's native histograms and exemplars: what Head does for them.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/head/head.h"
#include "tsdb/head/shard_lock.h"

namespace tarsier::tsdb {
namespace {

// Where chunks of histograms end; Prometheus' figures.
constexpr std::size_t kTargetBytes = 1024;
constexpr std::size_t kSamplesMin = 10;
/// With fewer samples too: so a chunk always fits a page of the head.
constexpr std::size_t kChunkBytesMax = std::size_t{64} << 10;
constexpr std::size_t kChunkSamplesMaxInHead = 2 * 120 * 8;

/// Where the chunk should end so that the window is divided evenly, given that it is full by the
/// inverse of `ratio_to_full` at `newest`.
std::int64_t estimate_end(std::int64_t start, std::int64_t newest, std::int64_t end,
                          double ratio_to_full) {
  const double n =
      static_cast<double>(end - start) / (static_cast<double>(newest - start + 1) * ratio_to_full);
  if (n <= 1) return end;
  return static_cast<std::int64_t>(static_cast<double>(start) +
                                   static_cast<double>(end - start) / std::floor(n));
}

}  // namespace

std::size_t HeadBatch::run_count() const { return barriers.size() + 1; }

HeadBatch::Run HeadBatch::run(std::size_t i) const {
  const Barrier begin = i == 0 ? Barrier{} : barriers[i - 1];
  const Barrier end =
      i < barriers.size() ? barriers[i] : Barrier{samples.size(), histograms.size()};
  return {begin.samples, end.samples - begin.samples, begin.histograms,
          end.histograms - begin.histograms};
}

void Head::apply_histograms(std::span<const Slot> slots, std::span<RefHistogram> histograms,
                            HeadBatch* batch) {
  const bool takes_late = batch != nullptr && batch->late_bound != INT64_MAX;
  const std::int64_t min_valid = std::max(min_valid_time_.load(std::memory_order_relaxed),
                                          takes_late ? batch->bound : INT64_MIN);
  std::int64_t oldest = min_time();
  std::int64_t newest = max_time();
  ShardLock shard(shards_);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    RefHistogram& one = histograms[i];
    const Sample as_sample{one.t, sum_of(one.histogram)};
    AppendOutcome outcome = AppendOutcome::kOutOfBounds;
    if (one.t.ms >= min_valid) {
      shard.hold(slots[i]);
      outcome = append_histogram_to(slots[i], one.t, one.histogram, lane_);
    }
    if (outcome == AppendOutcome::kAppended) {
      metrics_.histograms_appended.add();
      oldest = std::min(oldest, one.t.ms);
      newest = std::max(newest, one.t.ms);
      continue;
    }
    if (batch == nullptr || outcome == AppendOutcome::kIgnored) continue;
    if (takes_late && outcome != AppendOutcome::kDuplicate) {
      if (one.t.ms >= batch->late_bound) {
        if (insert_late(slots[i], one.t, one.histogram)) {
          batch->late_histograms.push_back(std::move(one));
        }
        continue;
      }
      outcome = AppendOutcome::kTooOld;
    }
    batch->refused.push_back({one.ref, as_sample, outcome});
  }
  min_time_.store(oldest, std::memory_order_relaxed);
  max_time_.store(newest, std::memory_order_relaxed);
}

AppendOutcome Head::append_histogram_to(Slot slot, Timestamp t, AnyHistogram& histogram,
                                        Lane& lane) {
  SeriesRecord& record = table_.record(slot);
  const std::uint64_t print = fingerprint(histogram);
  if (t.ms <= record.chunk.t) {
    if (t.ms < record.chunk.t) return AppendOutcome::kOutOfOrder;
    return record.newest_is_histogram() && print == record.chunk.value_bits
               ? AppendOutcome::kIgnored
               : AppendOutcome::kDuplicate;
  }
  if (record.chunk.t == kNoSample) ++lane.first_sample_count;
  if (record.newest_is_histogram() &&
      !histograms_.at(record.place.first).encoder.takes(histogram)) {
    end_histograms(slot, lane);
  }
  if (!record.newest_is_histogram()) {
    if (record.has_open_chunk()) seal(slot, lane);
    record.place.first = histograms_.begin(histogram.index() == 0 ? ChunkEncoding::kHistogram
                                                                  : ChunkEncoding::kFloatHistogram);
    record.place.last = 0;
    record.chunk.leading = SeriesRecord::kHistogramMark;
    record.has_histograms = 1;
  }
  OpenHistogram& open = histograms_.at(record.place.first);
  const HistogramEncoder::Fit fit = open.encoder.fit(histogram);
  if (open.is_open()) {
    const std::size_t size = open.encoder.bytes().size();
    const std::int64_t window = window_end(record.chunk_start);
    if (!open.has_end && size >= kTargetBytes / 4) {
      record.next_at = estimate_end(record.chunk_start, record.chunk.t, window,
                                    static_cast<double>(kTargetBytes) / static_cast<double>(size));
      open.has_end = true;
    }
    const bool is_due = t.ms >= record.next_at || size >= 2 * kTargetBytes;
    const bool is_full = t.ms >= window || size >= kChunkBytesMax ||
                         open.encoder.sample_count() >= kChunkSamplesMaxInHead ||
                         (is_due && open.encoder.sample_count() >= kSamplesMin);
    if (!fit.fits || is_full) seal_histogram(slot, lane);
  }
  if (!open.is_open()) {
    open.encoder.begin(fit.header);
    open.has_end = false;
    record.chunk_start = t.ms;
    record.next_at = window_end(t.ms);
    record.place.last = 1;
    metrics_.chunks_created.add();
  }
  open.encoder.append(t, std::move(histogram));
  // Appenders look at these two without a lock.
  std::atomic_ref(record.chunk.t).store(t.ms, std::memory_order_relaxed);
  std::atomic_ref(record.chunk.value_bits).store(print, std::memory_order_relaxed);
  return AppendOutcome::kAppended;
}

void Head::seal_histogram(Slot slot, Lane& lane) {
  SeriesRecord& record = table_.record(slot);
  SeriesInfo& info = table_.info(slot);
  HistogramEncoder& encoder = histograms_.at(record.place.first).encoder;
  const Bytes bytes = encoder.bytes();
  NewSealedChunk chunk;
  chunk.header = {info.ref, Timestamp{record.chunk_start}, Timestamp{record.chunk.t},
                  static_cast<std::uint8_t>(encoder.encoding()), false};
  chunk.size = bytes.size();
  SealedWindow& window = lane.sealed.window(window_end(record.chunk_start));
  const auto [sealed, data] = window.allocate(chunk);
  std::memcpy(data.data(), bytes.data(), bytes.size());
  push_sealed(info, window, *sealed, record.chunk.t);
  encoder.begin(encoder.is_gauge() ? ChunkResetHeader::kGauge : ChunkResetHeader::kUnknown);
  record.place.last = 0;
}

void Head::end_histograms(Slot slot, Lane& lane) {
  SeriesRecord& record = table_.record(slot);
  if (record.has_open_histogram()) seal_histogram(slot, lane);
  histograms_.free(record.place.first);
  record.place = {};
  record.chunk.leading = XorState::kNoWindow;
  record.chunk.sample_count = 0;
}

void Head::copy_open_histogram(const SeriesRecord& record, TimeRange range,
                               ChunksInRange& out) const {
  if (!record.has_open_histogram() || record.chunk_start > range.max.ms ||
      record.chunk.t < range.min.ms) {
    return;
  }
  const HistogramEncoder& encoder = histograms_.at(record.place.first).encoder;
  out.open_histogram = as_text(encoder.bytes());
  out.open_encoding = encoder.encoding();
  out.open_bytes = out.open_histogram.size();
  out.open_range = {Timestamp{record.chunk_start}, Timestamp{record.chunk.t}};
}

std::optional<Head::HistogramKind> Head::newest_histogram_kind(Slot slot) const {
  ShardLock shard(shards_);
  shard.hold(slot);
  const SeriesRecord& record = table_.record(slot);
  if (!record.newest_is_histogram()) return std::nullopt;
  const HistogramEncoder& encoder = histograms_.at(record.place.first).encoder;
  return HistogramKind{encoder.encoding() == ChunkEncoding::kFloatHistogram, encoder.is_gauge()};
}

std::size_t Head::replay_histograms(std::span<RefHistogram> histograms) {
  std::vector<Slot> slots;
  std::vector<RefHistogram> known;
  std::size_t invalid_count = 0;
  for (RefHistogram& one : histograms) {
    note_replayed(one.ref);
    const Slot slot = table_.find(one.ref);
    if (slot == SeriesRefs::kNone) continue;
    const bool is_valid = std::visit(
        [](auto& histogram) { return prepare_for_storage(histogram).ok(); }, one.histogram);
    if (!is_valid) {
      ++invalid_count;
      continue;
    }
    slots.push_back(slot);
    known.push_back(std::move(one));
  }
  MutexLock lock(commit_mutex_);
  apply_histograms(slots, known, nullptr);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    table_.record(slots[i]).note_logged(known[i].t.ms);
  }
  return invalid_count;
}

bool Head::may_follow_floats(std::span<const RefHistogram> histograms) const {
  return std::any_of(histograms.begin(), histograms.end(), [&](const RefHistogram& one) {
    const Slot slot = table_.find(one.ref);
    return slot != SeriesRefs::kNone && table_.record(slot).has_histograms == 0;
  });
}

void Head::replay_exemplars(std::span<const RefExemplar> exemplars) {
  for (const RefExemplar& one : exemplars) {
    note_replayed(one.ref);
    const Slot slot = table_.find(one.ref);
    if (slot == SeriesRefs::kNone) continue;
    exemplars_.add(table_.labels(slot), {one.labels, one.v, one.t});
  }
}

void Head::apply_exemplars(const HeadBatch& batch) {
  for (std::size_t i = 0; i < batch.exemplars.size(); ++i) {
    const RefExemplar& one = batch.exemplars[i];
    exemplars_.add(table_.labels(batch.exemplar_slots[i]), {one.labels, one.v, one.t});
  }
}

}  // namespace tarsier::tsdb
