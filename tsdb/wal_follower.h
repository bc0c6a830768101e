#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/exemplar.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

class FollowedSeriesTable;
class FollowerHub;
class SegmentReader;

struct FollowerOptions {
  /// Names the file its position is kept in, `tarsier/followers/<name>`: letters, digits, '_', '-'.
  std::string name;
  /// A series is followed if it passes all matchers of one of these; without any, every series is.
  std::vector<std::vector<Matcher>> selectors;
  /// Where to begin, for whoever keeps the position with its own state. Without it: the position
  /// stored last, or, if none is, the end of the log as it is now.
  std::optional<LogPosition> from;
};

struct FollowedSeries {
  SeriesRef ref;
  Labels labels;
};
struct FollowedSample {
  SeriesRef ref;
  Timestamp t;
  double v = 0;  ///< Stale markers too.
};
struct FollowedHistogram {
  SeriesRef ref;
  Timestamp t;
  AnyHistogram histogram;
};
struct FollowedExemplar {
  SeriesRef ref;
  Exemplar exemplar;
};
struct FollowedMetadata {
  SeriesRef ref;
  Metadata metadata;
};

/// A stretch of the log, each kind in log order. One object is meant to be filled again and again:
/// it keeps its capacity.
struct FollowedBatch {
  /// What refs mean: each ref comes once in the life of a follower, not after what refers to it.
  std::vector<FollowedSeries> series;
  std::vector<FollowedSample> samples;
  std::vector<FollowedHistogram> histograms;
  std::vector<FollowedExemplar> exemplars;
  std::vector<FollowedMetadata> metadata;
  /// Nothing will refer to these any more: their labels may be forgotten, after this batch.
  std::vector<SeriesRef> ended;
  /// Where the next batch begins: what to store once everything in this one is dealt with.
  LogPosition end;

  std::size_t sample_count() const { return samples.size() + histograms.size(); }
  bool empty() const;
  void clear();
};

/// Reads what was committed, in log order, from a position that survives crashes: how remote write
/// and objectives see the samples. Pulled by its owner, which it never calls back.
///
/// Promises:
///  1. Only what no crash can take back is given out: what is synced (with WalSync::kNone:
///  written).
///     A commit's samples are given out in one batch or in batches that follow each other.
///  2. Late samples are in the log like all others, in the order of commits: nothing of the
///     write-behind log need be followed. A sample that lost a race against another appender is in
///     the log too although it was not stored; whoever passes it on must expect a refusal.
///  3. Reading on from a stored position after a crash gives everything behind it, some of it
///     perhaps a second time, and the series it needs. Nothing is lost while the log is kept:
///     truncation leaves what is behind the stored position of any follower that is open, up to
///     Options::wal_follower_bytes_max. What had to go nevertheless is counted by segments_lost().
///  4. Samples of series that are not followed cost their decoding and one bit test: whether a
///     series is followed is decided when it is first met.
///
/// Made by Db::follow and gone before the Db. One thread at a time; the getters are for any.
class WalFollower final {
 public:
  ~WalFollower();
  WalFollower(const WalFollower&) = delete;
  WalFollower& operator=(const WalFollower&) = delete;

  /// Replaces what is in `batch` by what comes next: nothing if there is nothing new, else whole
  /// log records until `samples_max` samples are reached (and so perhaps a few thousand more). Does
  /// disk reads. After an error the batch is empty and the same will be tried again.
  Status read(std::size_t samples_max, FollowedBatch& batch);

  /// Remembers that everything before `position` was dealt with (two small syncs), and lets the log
  /// be truncated up to there. REQUIRES: a batch ended there, or the position it began with.
  Status store(LogPosition position);
  /// Only lets the log be truncated: for whoever keeps the position with its own state.
  void release(LogPosition position);

  /// Where the next batch begins.
  LogPosition position() const { return {position_.load(std::memory_order_relaxed)}; }
  /// As last stored or released.
  LogPosition released() const { return {released_.load(std::memory_order_relaxed)}; }
  /// What could be read by now.
  LogPosition log_end() const;
  /// Segments that were gone before they were read, since this follower was opened.
  std::uint64_t segments_lost() const { return segments_lost_.load(std::memory_order_relaxed); }
  /// Records that could not be decoded, and segments whose rest could not be read.
  std::uint64_t damage_count() const { return damage_count_.load(std::memory_order_relaxed); }
  /// Samples whose series is nowhere in the log.
  std::uint64_t unknown_samples() const { return unknown_samples_.load(std::memory_order_relaxed); }

 private:
  friend class FollowerHub;
  WalFollower(FollowerHub& hub, FollowerOptions options, std::uint64_t id, LogPosition begin);

  bool selects(const Labels& labels) const;
  void decide(SeriesRef ref, const Labels& labels, FollowedBatch& batch);
  Status read_on(LogPosition end, std::size_t samples_max, FollowedBatch& batch);
  Result<bool> open_segment(LogPosition end);
  Status take(Bytes record, FollowedBatch& batch);
  template <typename Item, typename Add>
  Status take_items(std::vector<Item>& items, FollowedBatch& batch, Add add);
  Status meet(std::vector<SeriesRef>& unknown, FollowedBatch& batch);
  Status scan_for_series(FollowedBatch& batch);
  void note_ended(FollowedBatch& batch);
  void skip_segment(std::string_view why);
  void move_to(LogPosition position);

  FollowerHub& hub_;
  const FollowerOptions options_;
  const std::uint64_t id_;  // In the hub.
  struct Decoded;
  std::unique_ptr<Decoded> decoded_;  // Buffers.
  std::unique_ptr<FollowedSeriesTable> series_;
  std::unique_ptr<SegmentReader> reader_;  // Stands at position(), if there is one.
  LogPosition reader_end_;                 // The end of the log when it was made.
  bool is_scanned_ = false;  // Whether the log before the position was searched for series.

  /// Series that have left the head; what is in the log of them ends before `position`.
  struct Ended {
    LogPosition position;
    std::vector<SeriesRef> refs;
  };
  std::optional<Ended> ending_;
  std::uint32_t looked_at_segment_ = 0;  // When series that left were last looked for.

  std::atomic<std::uint64_t> position_;
  std::atomic<std::uint64_t> released_;
  std::atomic<std::uint64_t> segments_lost_{0};
  std::atomic<std::uint64_t> damage_count_{0};
  std::atomic<std::uint64_t> unknown_samples_{0};
};

}  // namespace tarsier::tsdb
