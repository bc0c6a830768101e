#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/keyed_hash.h"
#include "base/mutex.h"
#include "base/time.h"
#include "tsdb/appender.h"

namespace tarsier::ingest {

/// From the keyed hash of a series' label bytes to its number in the head: why a known series is
/// never parsed twice (architecture, decision 5). The bytes are not compared on a hit; 84 bits of a
/// hash nobody can steer, plus the place in the table, stand for them.
///
/// Open addressing, 16 bytes a slot, four to a cache line. Readers take no lock while they look:
/// a table's slots only ever go from empty to filled (or to a newer number for the same hash), and
/// a table that has to grow is copied and replaced. What was not asked for in an hour or so is left
/// behind then, so series that ended do not stay. A number may outlive its series in the head: the
/// appender says so, and the caller inserts the new one. Any number of threads.
class SeriesCache final {
 public:
  /// Beyond `entries_max` living entries nothing is inserted; such series stay correct and slow.
  explicit SeriesCache(std::size_t entries_max);
  ~SeriesCache();

  /// `out[i]` is the number for `hashes[i]`, or zero. In batches that prefetch. REQUIRES: equal
  /// sizes.
  void find(std::span<const Hash128> hashes, std::span<tsdb::SeriesRef> out, Timestamp now) const;
  void insert(Hash128 hash, tsdb::SeriesRef series, Timestamp now);
  /// Starts empty, as after a change of rules.
  void clear();

  std::size_t entry_count() const;  ///< Slots in use, entries that will be left behind included.
  std::size_t memory_bytes() const;

 private:
  struct Slot {
    std::atomic<std::uint64_t> key{0};   // hash.low, 0 while empty. Stored last, with release;
    std::atomic<std::uint64_t> rest{0};  // read after `key` was loaded with acquire.
  };
  struct Table;

  std::shared_ptr<Table> table() const;
  void make_room(Timestamp now) REQUIRES_LOCK(mutex_);

  const std::size_t entries_max_;
  mutable Mutex mutex_;
  std::shared_ptr<Table> table_ GUARDED_BY(mutex_);
  std::size_t entry_count_ GUARDED_BY(mutex_) = 0;
  std::int64_t full_until_period_ GUARDED_BY(mutex_) = kMinTimestamp.ms;
};

}  // namespace tarsier::ingest
