// Chunks that nobody will add to are closed, so that they can leave memory for the disk: those of
// series that ended, and those that are full already.

#include <algorithm>
#include <bit>

#include "tsdb/head/head.h"

namespace tarsier::tsdb {
namespace {

/// Slots looked at per hold of the commit lock: some 10 us.
constexpr std::size_t kSliceSlots = 4096;
/// A series without a sample for this long has ended, as far as anybody can tell. Counted from the
/// head's newest sample: a log that is replayed a day later ends nothing.
constexpr Duration kIdle = minutes(15);

bool has_ended(const SeriesRecord& record, std::int64_t idle_before) {
  if (record.chunk.t < idle_before) return true;
  return !record.newest_is_histogram() && record.chunk.value_bits == kStaleMarkerBits;
}

/// Whether a sample as long after the newest one as that is after its predecessor would begin
/// another chunk. A chunk of two samples knows that distance; a short one is not worth it.
bool is_complete(const SeriesRecord& record) {
  constexpr std::uint16_t kSamplesMin = 30;
  return record.chunk.sample_count >= kSamplesMin &&
         record.chunk.delta >= record.next_at - record.chunk.t;
}

}  // namespace

void Head::close_finished_chunks() {
  if (is_empty()) return;
  const std::int64_t idle_before = (Timestamp{max_time()} - kIdle).ms;
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
      if (!has_ended(record, idle_before) && !(has_floats && is_complete(record))) continue;
      shard.hold(slot);
      has_floats ? seal(slot, lane_) : seal_histogram(slot, lane_);
      ++closed;
    }
    metrics_.chunks_closed.add(closed);
  }
}

}  // namespace tarsier::tsdb
