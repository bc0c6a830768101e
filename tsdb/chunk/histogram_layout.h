#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tsdb/chunk/bit_stream.h"
#include "tsdb/histogram.h"

namespace tarsier::tsdb {

/// What a histogram chunk says in its header about the reset between the sample before it and its
/// first one: bits 7 and 6 of a byte. Stored: never renumber.
enum class ChunkResetHeader : std::uint8_t {
  kUnknown = 0b00,
  kNotReset = 0b01,
  kReset = 0b10,
  kGauge = 0b11,
};

/// Appends the layout as a chunk begins with it (FORMAT.md, "Histogram chunks").
void encode_layout(const BucketLayout& layout, BitWriter& out);
/// Replaces `layout`. False, with the reader failed, if it is none or longer than what follows.
bool decode_layout(BitReader& in, BucketLayout& layout);

/// Walks bucket indexes of spans in ascending order.
class BucketIndexes final {
 public:
  explicit BucketIndexes(std::span<const BucketSpan> spans) : spans_(spans) { skip_empty(); }
  bool done() const { return spans_.empty(); }
  /// REQUIRES: not done, as for next().
  std::int64_t index() const { return index_; }
  void next() {
    ++index_;
    if (++in_span_ == spans_.front().length) {
      in_span_ = 0;
      spans_ = spans_.subspan(1);
      skip_empty();
    }
  }

 private:
  void skip_empty() {
    while (!spans_.empty()) {
      index_ += spans_.front().offset;
      if (spans_.front().length > 0) return;
      spans_ = spans_.subspan(1);
    }
  }

  std::span<const BucketSpan> spans_;
  std::uint32_t in_span_ = 0;
  std::int64_t index_ = 0;
};

/// Spans with the buckets of both, without empty spans.
std::vector<BucketSpan> unite_spans(std::span<const BucketSpan> a, std::span<const BucketSpan> b);
/// Whether they name the same buckets, however they are cut.
bool has_same_buckets(std::span<const BucketSpan> a, std::span<const BucketSpan> b);

/// Counts of the buckets of `from` as counts of those of `to`, which has them all; zero for the
/// others. REQUIRES: as many counts as `from` says.
template <typename Count>
std::vector<Count> spread_counts(std::span<const BucketSpan> from, std::span<const Count> counts,
                                 std::span<const BucketSpan> to) {
  std::vector<Count> spread;
  spread.reserve(bucket_count(to));
  BucketIndexes source(from);
  std::size_t i = 0;
  for (BucketIndexes target(to); !target.done(); target.next()) {
    const bool is_there = !source.done() && source.index() == target.index();
    spread.push_back(is_there ? counts[i] : Count{});
    if (!is_there) continue;
    source.next();
    ++i;
  }
  return spread;
}

/// Whether a counter went back between two samples: a bucket has less than before, or one that
/// was not empty is gone.
template <typename Count>
bool is_bucket_reset(std::span<const BucketSpan> before, std::span<const Count> counts_before,
                     std::span<const BucketSpan> after, std::span<const Count> counts_after) {
  BucketIndexes later(after);
  std::size_t k = 0;
  std::size_t i = 0;
  for (BucketIndexes earlier(before); !earlier.done(); earlier.next(), ++i) {
    while (!later.done() && later.index() < earlier.index()) {
      later.next();
      ++k;
    }
    if (!later.done() && later.index() == earlier.index()) {
      if (counts_before[i] > counts_after[k]) return true;
    } else if (counts_before[i] != Count{}) {
      return true;
    }
  }
  return false;
}

}  // namespace tarsier::tsdb
