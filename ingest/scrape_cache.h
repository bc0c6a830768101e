#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "ingest/start_zeroes.h"
#include "tsdb/appender.h"
#include "tsdb/exemplar.h"

namespace tarsier::ingest {

/// What one target exposed in its last scrapes: from the keyed hash of a series' exposition bytes
/// to its number in the head (architecture, decision 5), and which series were there last time, so
/// that one that is gone can be marked as ended. Entries stand in the order in which they were
/// first seen, and targets expose in one order, so most look-ups are a comparison with the next
/// entry. 32 bytes an entry and 8 to 16 of table. One thread at a time.
///
/// One scrape is begin_scrape(), find(), insert() and the entry flags for every sample, then
/// succeed() or fail().
class ScrapeCache final {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Entry {
    Hash128 hash;
    tsdb::SeriesRef series;    // Zero while `is_dropped`.
    std::uint32_t seen = 0;    // The number of the last scrape that had it.
    bool is_dropped = false;   // By metric relabelling.
    bool is_tracked = false;   // A sample of it was stored in this scrape, for staleness.
    bool was_tracked = false;  // The same for the last scrape.
  };

  void begin_scrape();
  /// The entry of a series, or kNone.
  std::uint32_t find(const Hash128& hash);
  /// REQUIRES: find(hash) is kNone.
  std::uint32_t insert(const Hash128& hash);
  Entry& operator[](std::uint32_t index) { return entries_[index]; }
  /// Notes that the running scrape has the series; false if it had it already.
  bool mark_seen(std::uint32_t index);

  /// Notes an exemplar without a time of its own; false if the series had the same one last.
  bool note_untimed_exemplar(tsdb::SeriesRef series, const tsdb::Exemplar& exemplar);

  /// When series began to count, as far as zeroes were written for that.
  KnownStarts& starts() { return starts_; }

  /// Calls `end(series)` for every series of the last scrape that was not stored in this one.
  /// To be called after everything of this scrape is stored, before succeed().
  template <typename F>
  void for_each_ended(F end) const {
    for (const Entry& entry : entries_) {
      if (entry.was_tracked && !entry.is_tracked) end(entry.series);
    }
  }
  /// Calls `end(series)` for every series of the last scrape: the running one failed.
  template <typename F>
  void for_each_previous(F end) const {
    for (const Entry& entry : entries_) {
      if (entry.was_tracked) end(entry.series);
    }
  }

  /// The scrape is stored: it becomes the last one, and what it did not have is forgotten.
  void succeed();
  /// The scrape is void: nothing was stored, the last scrape had no series. True if the cache had
  /// to be emptied, because a target that keeps failing filled it with ever new series.
  bool fail();
  /// The scrape was good but empty: as a success that forgets nothing.
  void succeed_empty() { shift_tracking(); }

  void clear();
  std::size_t size() const { return entries_.size(); }

 private:
  void shift_tracking();
  void rebuild_table();
  std::size_t slot_of(const Hash128& hash) const { return hash.low & (table_.size() - 1); }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> table_;  // Open addressing, a power of two; kNone is free.
  std::unordered_map<std::uint64_t, std::uint64_t> untimed_exemplars_;  // Series to a hash.
  KnownStarts starts_{kNone};
  std::uint32_t scrape_ = 0;
  std::uint32_t expected_ = 0;  // The entry that probably comes next.
  std::size_t seen_count_ = 0;  // Entries the running scrape has.
  std::size_t last_good_size_ = 0;
};

}  // namespace tarsier::ingest
