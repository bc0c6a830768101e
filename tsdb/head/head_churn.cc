// Chunks that nobody will add to are closed, so that they can leave memory for the disk: those of
// series that ended, and those that are full already. And the series that ended leave, too.

#include <algorithm>
#include <bit>

#include "tsdb/head/head.h"
#include "tsdb/head/head_chunk_ranges.h"

namespace tarsier::tsdb {
namespace {

/// Slots looked at per hold of the commit lock: some 10 us.
constexpr std::size_t kSliceSlots = 4096;
/// Silence counts from the head's newest sample: a log that is replayed a day later ends nothing.
bool has_ended(const SeriesRecord& record, std::int64_t idle_before) {
  if (record.chunk.t < idle_before) return true;
  return !record.newest_is_histogram() && record.chunk.value_bits == kStaleMarkerBits;
}

/// Whether the next sample would begin another chunk, as far as one can tell: it is as long after
/// the newest one as that is after its predecessor. A chunk of two samples knows that distance; a
/// short one is not worth it.
bool is_complete(Slot slot, const SeriesRecord& record) {
  constexpr std::uint16_t kSamplesMin = 30;
  return record.chunk.sample_count >= kSamplesMin &&
         (record.limits(slot).are_reached(record.chunk) ||
          record.chunk.delta >= record.next_at - record.chunk.t);
}

}  // namespace

void Head::close_finished_chunks() {
  if (is_empty()) return;
  const std::int64_t idle_before = (Timestamp{max_time()} - idle_).ms;
  const std::size_t slot_count = table_.slot_count();
  for (std::size_t begin = 0; begin < slot_count; begin += kSliceSlots) {
    std::size_t closed = 0;
    MutexLock lock(commit_mutex_);
    ShardLock shard(shards_);
    for (std::size_t i = begin; i < std::min(begin + kSliceSlots, slot_count); ++i) {
      const auto slot = static_cast<Slot>(i);
      const SeriesRecord& record = table_.record(slot);
      const bool has_floats = record.has_open_chunk();
      if (!has_floats && !record.has_open_histogram()) continue;
      if (!has_ended(record, idle_before) && !(has_floats && is_complete(slot, record))) continue;
      shard.hold(slot);
      has_floats ? seal(slot, lane_) : seal_histogram(slot, lane_);
      ++closed;
    }
    metrics_.chunks_closed.add(closed);
  }
}

std::vector<EndedSeries> Head::ended_series() const {
  std::vector<EndedSeries> ended;
  if (is_empty()) return ended;
  const std::int64_t idle_before = (Timestamp{max_time()} - idle_).ms;
  const std::int64_t head_min = generation()->min_time;
  const std::size_t slot_count = table_.slot_count();
  for (std::size_t begin = 0; begin < slot_count; begin += kSliceSlots) {
    MutexLock lock(commit_mutex_);
    for (std::size_t i = begin; i < std::min(begin + kSliceSlots, slot_count); ++i) {
      const auto slot = static_cast<Slot>(i);
      const SeriesRecord& record = table_.record(slot);
      const std::int64_t newest = record.newest_time();
      // What a truncation is about to take, or has taken, is none of ours.
      if (newest == kNoSample || newest < head_min || record.has_open_chunk() ||
          record.has_open_histogram() || !has_ended(record, idle_before) || has_late(slot) ||
          !table_.is_live(slot)) {
        continue;
      }
      ended.push_back({slot, newest});
    }
  }
  return ended;
}

Result<std::size_t> Head::remove_ended(std::span<const EndedSeries> ended,
                                       const HeadChunkFiles& files) {
  {
    MutexLock lock(commit_mutex_);
    for (const FreedChunks::Chunk& freed : freed_chunks_->take()) {
      SealedWindow* const window = lane_.sealed.find(freed.window_end);
      if (window != nullptr) window->give_back(freed.chunk);
    }
  }
  const std::shared_ptr<const HeadGeneration> before = generation();
  const HeadChunkRanges ranges(files);
  SeriesTable::Removed removed;
  std::vector<FreedChunks::Chunk> chunks;
  std::vector<RefTombstone> gone;
  std::vector<Slot> slots;
  std::vector<FreedChunks::Chunk> own;
  Status status;
  for (; !ended.empty() && status.ok();
       ended = ended.subspan(std::min(ended.size(), kSliceSlots))) {
    gone.clear();
    slots.clear();
    MutexLock lock(commit_mutex_);
    for (const EndedSeries& one : ended.first(std::min(ended.size(), kSliceSlots))) {
      const SeriesRecord& record = table_.record(one.slot);
      if (record.newest_time() != one.newest || record.has_open_chunk() ||
          record.has_open_histogram() || has_late(one.slot) || !table_.is_live(one.slot)) {
        continue;
      }
      gone.push_back({SeriesRef{table_.info(one.slot).ref}, kMinTimestamp, kMaxTimestamp});
      slots.push_back(one.slot);
    }
    if (slots.empty()) continue;
    if (log_ != nullptr) {
      std::string plain;
      encode_tombstones(gone, plain);
      EncodedRecord record;
      record.encode(as_bytes(plain), log_->compression());
      const Result<LogPosition> position = log_->append(record);
      status = position.status();
      if (!status.ok()) break;
      departed_at_ = *position;
    }
    const std::size_t first = removed.slots.size();
    table_.remove_idle(
        slots.front(), slots.back() + 1,
        [&](Slot slot, const SeriesRecord&) {
          return std::binary_search(slots.begin(), slots.end(), slot);
        },
        removed);
    ShardLock shard(shards_);
    for (const Slot slot : std::span(removed.slots).subspan(first)) {
      if (table_.record(slot).newest_is_histogram()) {
        shard.hold(slot);
        end_histograms(slot, lane_);
      }
      own.clear();
      bool is_in_files = true;
      for (SealedWalk walk = sealed_chunks(table_.info(slot), before->min_time); walk;
           walk.next()) {
        is_in_files = is_in_files && ranges.find(walk->entry()).has_value();
        own.push_back({walk.window_end(), const_cast<SealedChunk*>(walk.get())});
      }
      // What waits for a file is still known to the page it waits in.
      if (is_in_files) chunks.insert(chunks.end(), own.begin(), own.end());
    }
    removal_count_.fetch_add(1, std::memory_order_release);
  }
  const std::size_t count = removed.slots.size();
  if (count == 0) {
    TRY(std::move(status));
    return count;
  }
  table_.finish_removal(removed);
  metrics_.series_removed.add(count);
  metrics_.chunks_removed.add(chunks.size());
  auto next = std::make_shared<HeadGeneration>(table_, before->min_time);
  std::shared_ptr<HeadGeneration> over;
  MutexLock lock(generation_mutex_);
  over = std::exchange(generation_, next);
  over->next = std::move(next);
  over->removed = std::move(removed);
  over->chunks = std::move(chunks);
  over->freed_chunks = freed_chunks_;
  return count;
}

void Head::empty_replayed(Slot slot) {
  SeriesRecord& record = table_.record(slot);
  SeriesInfo& info = table_.info(slot);
  if (record.newest_is_histogram()) {
    histograms_.free(record.place.first);
    record.chunk.leading = XorState::kNoWindow;
  } else if (record.has_open_chunk()) {
    open_.free(lane_.cells, record.place);
  }
  record.place = {};
  record.created_in = SeriesRecord::kEmptied;
  record.chunk.sample_count = 0;
  record.chunk.t = kNoSample;
  info.newest_sealed = nullptr;
  info.newest_sealed_max_t = INT64_MIN;
}

}  // namespace tarsier::tsdb
