#include "ingest/remote/series_cache.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace tarsier::ingest {
namespace {

// A slot's second word: 20 more bits of the hash, 4 bits of age, 40 bits of the series' number.
constexpr unsigned kRefBits = 40;
constexpr unsigned kAgeBits = 4;
constexpr unsigned kHashBits = 20;
static_assert(kRefBits + kAgeBits + kHashBits == 64);
constexpr std::uint64_t kRefMask = (std::uint64_t{1} << kRefBits) - 1;
constexpr std::uint64_t kAgeMask = ((std::uint64_t{1} << kAgeBits) - 1) << kRefBits;
constexpr std::uint64_t kHashMask = ~(kRefMask | kAgeMask);

/// Age is the number of the quarter of an hour in which an entry was last asked for, modulo 16.
constexpr std::int64_t kPeriodMs = 15 * 60 * 1000;
constexpr std::uint64_t kPeriodsKept = 5;

constexpr std::size_t kSlotsMin = 1024;
constexpr std::size_t kBatch = 64;

std::int64_t period_of(Timestamp now) { return now.ms / kPeriodMs; }
std::uint64_t age_bits(Timestamp now) {
  return (static_cast<std::uint64_t>(period_of(now)) << kRefBits) & kAgeMask;
}
std::uint64_t key_of(Hash128 hash) { return hash.low == 0 ? 1 : hash.low; }

bool is_living(std::uint64_t rest, std::uint64_t now_bits) {
  return (((now_bits - (rest & kAgeMask)) & kAgeMask) >> kRefBits) < kPeriodsKept;
}

/// Three quarters: linear probing stays at about two slots, within one cache line more.
std::size_t entries_at_most(std::size_t slot_count) { return slot_count - slot_count / 4; }

}  // namespace

struct SeriesCache::Table {
  explicit Table(std::size_t slot_count)
      : slots(std::make_unique<Slot[]>(slot_count)), mask(slot_count - 1) {
    CHECK(std::has_single_bit(slot_count));
  }

  /// The slot that holds `hash`, or null: decided by one load of each key, so that an insertion
  /// meanwhile is either seen whole or not at all. Some slot is always empty.
  Slot* find(Hash128 hash) const {
    const std::uint64_t key = key_of(hash);
    for (std::size_t i = key & mask;; i = (i + 1) & mask) {
      const std::uint64_t found = slots[i].key.load(std::memory_order_acquire);
      if (found == 0) return nullptr;
      if (found != key) continue;
      if (((slots[i].rest.load(std::memory_order_relaxed) ^ hash.high) & kHashMask) == 0) {
        return &slots[i];
      }
    }
  }

  /// Writes a new entry. Only by the one thread that may, and only while a slot is left over.
  void add(std::uint64_t key, std::uint64_t rest) const {
    std::size_t i = key & mask;
    while (slots[i].key.load(std::memory_order_relaxed) != 0) i = (i + 1) & mask;
    slots[i].rest.store(rest, std::memory_order_relaxed);
    slots[i].key.store(key, std::memory_order_release);  // Pairs with the acquire in find().
  }

  std::unique_ptr<Slot[]> slots;
  std::size_t mask;
};

SeriesCache::SeriesCache(std::size_t entries_max)
    : entries_max_(entries_max), table_(std::make_shared<Table>(kSlotsMin)) {}

SeriesCache::~SeriesCache() = default;

std::shared_ptr<SeriesCache::Table> SeriesCache::table() const {
  const MutexLock lock(mutex_);
  return table_;
}

void SeriesCache::find(std::span<const Hash128> hashes, std::span<tsdb::SeriesRef> out,
                       Timestamp now) const {
  CHECK(hashes.size() == out.size());
  const std::shared_ptr<Table> held = table();
  const Table& t = *held;
  const std::uint64_t now_bits = age_bits(now);
  for (std::size_t begin = 0; begin < hashes.size(); begin += kBatch) {
    const std::size_t end = std::min(begin + kBatch, hashes.size());
    for (std::size_t i = begin; i < end; ++i) {
      __builtin_prefetch(&t.slots[key_of(hashes[i]) & t.mask]);
    }
    for (std::size_t i = begin; i < end; ++i) {
      Slot* const slot = t.find(hashes[i]);
      if (slot == nullptr) {
        out[i] = {};
        continue;
      }
      std::uint64_t rest = slot->rest.load(std::memory_order_relaxed);
      out[i] = tsdb::SeriesRef{rest & kRefMask};
      if ((rest & kAgeMask) != now_bits) {
        // Once per entry and period. Losing the race against a newer number must not undo it.
        slot->rest.compare_exchange_strong(rest, (rest & ~kAgeMask) | now_bits,
                                           std::memory_order_relaxed);
      }
    }
  }
}

void SeriesCache::insert(Hash128 hash, tsdb::SeriesRef series, Timestamp now) {
  if (series.value == 0 || series.value > kRefMask) return;
  const std::uint64_t rest = (hash.high & kHashMask) | age_bits(now) | series.value;
  const MutexLock lock(mutex_);
  if (Slot* const known = table_->find(hash)) {
    known->rest.store(rest, std::memory_order_relaxed);
    return;
  }
  if (entry_count_ >= entries_at_most(table_->mask + 1)) make_room(now);
  if (entry_count_ >= entries_at_most(table_->mask + 1)) return;
  table_->add(key_of(hash), rest);
  ++entry_count_;
}

void SeriesCache::make_room(Timestamp now) {
  if (period_of(now) <= full_until_period_) return;
  const std::uint64_t now_bits = age_bits(now);
  const Table& old = *table_;
  const auto lives = [&](const Slot& slot) {
    return slot.key.load(std::memory_order_relaxed) != 0 &&
           is_living(slot.rest.load(std::memory_order_relaxed), now_bits);
  };
  std::size_t living_count = 0;
  for (std::size_t i = 0; i <= old.mask; ++i) living_count += lives(old.slots[i]) ? 1 : 0;
  if (living_count >= entries_max_) {
    full_until_period_ = period_of(now);  // Looking again before entries can have aged is waste.
    return;
  }
  // Room for half as many again, so that the next copy is far away.
  std::size_t slot_count = kSlotsMin;
  while (entries_at_most(slot_count) < living_count + living_count / 2) slot_count *= 2;
  auto fresh = std::make_shared<Table>(slot_count);
  for (std::size_t i = 0; i <= old.mask; ++i) {
    if (!lives(old.slots[i])) continue;
    fresh->add(old.slots[i].key.load(std::memory_order_relaxed),
               old.slots[i].rest.load(std::memory_order_relaxed));
  }
  table_ = std::move(fresh);
  entry_count_ = living_count;
}

void SeriesCache::clear() {
  auto empty = std::make_shared<Table>(kSlotsMin);
  const MutexLock lock(mutex_);
  table_ = std::move(empty);
  entry_count_ = 0;
  full_until_period_ = kMinTimestamp.ms;
}

std::size_t SeriesCache::entry_count() const {
  const MutexLock lock(mutex_);
  return entry_count_;
}

std::size_t SeriesCache::memory_bytes() const {
  const MutexLock lock(mutex_);
  return (table_->mask + 1) * sizeof(Slot);
}

}  // namespace tarsier::ingest
