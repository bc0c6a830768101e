#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/chunk/bit_stream.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/chunk/histogram_layout.h"
#include "tsdb/histogram.h"

namespace tarsier::tsdb {

/// Count of samples and the two flags in front of the bit stream; with start times one byte more
/// says which samples have one.
inline constexpr std::size_t kHistogramHeaderBytes = 3;

/// The number of samples a chunk of any known encoding says it has; 0 if it is too short to say.
std::size_t chunk_sample_count(ChunkEncoding encoding, Bytes chunk);

/// Walks the samples of one chunk of native histograms in time order (FORMAT.md, "Histogram
/// chunks"), whichever of the four encodings it has. Borrows `chunk`, which must outlive it. One
/// thread at a time. Buffers are reused from sample to sample and from chunk to chunk.
class HistogramIterator final {
 public:
  /// REQUIRES: a histogram encoding.
  HistogramIterator(ChunkEncoding encoding, Bytes chunk);
  HistogramIterator(const HistogramIterator&) = delete;
  HistogramIterator& operator=(const HistogramIterator&) = delete;

  /// Steps to the next sample. False at the end and at damage; `status()` tells which.
  bool next();
  /// REQUIRES of what follows: the last next() returned true.
  Timestamp t() const { return Timestamp{t_}; }
  bool is_stale() const { return sum_.bits == kStaleMarkerBits; }
  /// As queries see it: gauge, or unknown for the first sample of a counter chunk, else not reset.
  CounterResetHint hint() const;
  /// The sample on its own, with integer counts if the chunk has them.
  AnyHistogram histogram() const;
  /// Appends the sample as floats. `layout` is where `out` has this chunk's layout; to begin with,
  /// kNoLayout.
  void append_to(HistogramColumns& out, std::uint32_t& layout) const;
  static constexpr std::uint32_t kNoLayout = UINT32_MAX;

  ChunkResetHeader header() const { return header_; }
  bool is_float() const { return is_float_; }
  std::size_t sample_count() const { return sample_count_; }
  const BucketLayout& layout() const { return layout_; }
  /// kCorruption, naming the bit offset, if decoding stopped early.
  Status status() const;

 private:
  /// A number of which the change of its change is stored.
  struct Counter {
    std::int64_t value = 0;
    std::int64_t delta = 0;
    void read(BitReader& in);
  };

  bool first();
  bool later();
  void read_start();

  Bytes chunk_;
  BitReader in_;
  bool is_float_;
  bool has_starts_;
  bool has_first_start_ = false;
  std::size_t start_change_ = 0;
  ChunkResetHeader header_ = ChunkResetHeader::kUnknown;
  std::size_t sample_count_ = 0;
  std::size_t done_count_ = 0;
  bool failed_ = false;

  BucketLayout layout_;
  std::size_t positive_count_ = 0;
  std::int64_t t_ = 0;
  std::int64_t t_delta_ = 0;
  XorValue sum_;
  // Of integer chunks: differences to the left neighbour, positive buckets first.
  Counter count_;
  Counter zero_count_;
  std::vector<Counter> integers_;
  // Of float chunks.
  XorValue float_count_;
  XorValue float_zero_count_;
  std::vector<XorValue> floats_;
};

/// Appends the chunk's samples within `range` (both ends inclusive) to `out`. kCorruption, naming
/// the bit offset, at the first damaged bit that has to be read; `out` then holds the samples
/// before it. REQUIRES: a histogram encoding.
Status decode_histogram_chunk(ChunkEncoding encoding, Bytes chunk, TimeRange range,
                              HistogramColumns& out);

/// The same for float chunks of any encoding. REQUIRES: a float encoding.
Status decode_float_chunk(ChunkEncoding encoding, Bytes chunk, TimeRange range, SampleColumns& out);

}  // namespace tarsier::tsdb
