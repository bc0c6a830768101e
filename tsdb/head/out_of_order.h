#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/block/chunk_files.h"
#include "tsdb/head/arena.h"
#include "tsdb/head/head_postings.h"
#include "tsdb/head/sealed_chunks.h"
#include "tsdb/histogram.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// A histogram that came late. Who copies the array shares what it points to.
struct LateHistogram {
  Timestamp t;
  std::shared_ptr<const AnyHistogram> value;  ///< Its hint says gauge, or nothing.
};

/// The samples that came too late for their series' open chunk, since the last time such samples
/// were cut into blocks. A series with any has a sorted array of up to 32 floats, and another of
/// histograms if it has those; a full one becomes a chunk, or several if its histograms are too
/// different. Nothing is kept for a series without. The head fills one epoch, under its commit
/// lock; when it is to be cut, the epoch is frozen and another begun: from then on it changes by
/// deletions only, which come on the thread that cuts. Whoever holds it, and a generation of the
/// head from when it was still listed, may read the chunks it got from it.
class LateEpoch final {
 public:
  static constexpr std::size_t kOpenSamplesMax = 32;  // As in Prometheus.

  explicit LateEpoch(std::uint64_t number) : number_(number) {}
  LateEpoch(const LateEpoch&) = delete;
  LateEpoch& operator=(const LateEpoch&) = delete;

  struct Series {
    Slot slot = 0;
    std::uint16_t count = 0;
    std::uint16_t capacity = 0;
    std::uint64_t ref = 0;
    Sample* samples = nullptr;            ///< `count`, by time.
    const SealedChunk* newest = nullptr;  ///< By order of sealing, not of time.
    std::int64_t min_t = INT64_MAX;       ///< Of all its samples here.
    std::int64_t max_t = INT64_MIN;
    /// Null if it never had one here. By time, at times that `samples` does not have.
    std::unique_ptr<std::vector<LateHistogram>> histograms;

    std::span<const Sample> open() const { return {samples, count}; }
    std::span<const LateHistogram> open_histograms() const {
      return histograms == nullptr ? std::span<const LateHistogram>() : *histograms;
    }
    bool has_histograms() const { return histograms != nullptr; }
    bool is_empty() const { return count == 0 && newest == nullptr && open_histograms().empty(); }
  };

  std::uint64_t number() const { return number_; }
  /// False if an array has a sample of this time: the first one stays.
  bool insert(Slot slot, std::uint64_t ref, Sample sample);
  bool insert(Slot slot, std::uint64_t ref, Timestamp t, const AnyHistogram& histogram);
  /// Takes the samples in `range` out; readers who have the series' chunks keep seeing them. Says
  /// whether there were any. What is left is in the order of its times, so a chunk that a file has
  /// is not the series' any more. Only the samples that cannot be read stay, with an error.
  Result<bool> erase(Slot slot, TimeRange range);
  /// Takes a chunk over that a file has.
  void adopt(Slot slot, std::uint64_t ref, const NewSealedChunk& chunk, const std::byte* entry);

  /// Null if the slot has none.
  const Series* find(Slot slot) const {
    if (slot >= index_.size() || index_[slot] == 0) return nullptr;
    return &series_[index_[slot] - 1];
  }
  std::span<const Series> series() const { return series_; }
  std::int64_t min_t() const { return min_t_; }
  std::int64_t max_t() const { return max_t_; }
  SealedWindow& window() { return window_; }
  const SealedWindow& window() const { return window_; }
  std::size_t bytes() const;

 private:
  Series& series_of(Slot slot, std::uint64_t ref);
  void note(Series& series, std::int64_t min_t, std::int64_t max_t);
  void note_all();
  void grow(Series& series);
  void seal(Series& series);
  void seal_histograms(Series& series);
  void seal(Series& series, TimeRange range, const Chunk& chunk);
  void push(Series& series, SealedChunk* chunk);

  const std::uint64_t number_;
  std::vector<std::uint32_t> index_;  // By slot: position in series_, plus one.
  std::vector<Series> series_;
  Arena arrays_;
  SealedWindow window_;
  std::size_t histogram_bytes_ = 0;  // About.
  std::int64_t min_t_ = INT64_MAX;
  std::int64_t max_t_ = INT64_MIN;
};

}  // namespace tarsier::tsdb
