#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "tsdb/chunk/bit_stream.h"
#include "tsdb/chunk/chunk_encoding.h"
#include "tsdb/chunk/histogram_layout.h"
#include "tsdb/histogram.h"

namespace tarsier::tsdb {

/// One chunk of native histograms under construction, as Prometheus builds it, bit for bit
/// (FORMAT.md, "Histogram chunks"). Knows its last sample even when a new chunk has just been
/// begun, so that it can tell what the next one means. One thread at a time.
class HistogramEncoder final {
 public:
  /// REQUIRES: kHistogram for integer histograms, kFloatHistogram for float ones; no other kind is
  /// given to it ever.
  explicit HistogramEncoder(ChunkEncoding encoding);

  ChunkEncoding encoding() const { return encoding_; }
  bool takes(const AnyHistogram& histogram) const {
    return (encoding_ == ChunkEncoding::kFloatHistogram) == (histogram.index() == 1);
  }
  std::size_t sample_count() const { return sample_count_; }
  /// The chunk so far. The view lives until the next change.
  Bytes bytes() const { return as_bytes(bytes_); }
  Timestamp newest_time() const { return Timestamp{t_}; }
  bool is_gauge() const { return header_ == ChunkResetHeader::kGauge; }
  std::size_t memory_bytes() const;

  /// How a histogram goes on behind the last sample.
  struct Fit {
    bool fits = false;  ///< Into the same chunk, perhaps with more buckets.
    /// Of a new chunk that begins with it.
    ChunkResetHeader header = ChunkResetHeader::kUnknown;
  };
  /// Without any sample before, a new chunk of unknown history fits.
  Fit fit(const AnyHistogram& histogram) const;
  /// Begins an empty chunk; what the last sample was stays known until the next append.
  void begin(ChunkResetHeader header);
  /// Goes on behind the last sample of a chunk that was finished elsewhere and had this header.
  void resume_after(ChunkResetHeader header, Timestamp t, const AnyHistogram& last);
  /// REQUIRES: t after the last sample's; the chunk is empty or the histogram fits; valid.
  void append(Timestamp t, AnyHistogram histogram);

 private:
  struct Counter {
    std::int64_t value = 0;
    std::int64_t delta = 0;
    void put(BitWriter& out, std::int64_t next);
  };

  void append_first(Timestamp t, const AnyHistogram& histogram);
  void append_later(Timestamp t, const AnyHistogram& histogram);
  void widen(const BucketLayout& wanted);
  bool is_reset(const IntegerHistogram& histogram) const;
  bool is_reset(const FloatHistogram& histogram) const;
  void write_header();
  bool is_stale() const { return sum_.bits == kStaleMarkerBits; }

  ChunkEncoding encoding_;
  ChunkResetHeader header_ = ChunkResetHeader::kUnknown;
  bool has_last_ = false;
  std::size_t sample_count_ = 0;
  std::string bytes_;
  std::size_t bit_count_ = 0;

  // The last sample.
  BucketLayout layout_;
  std::int64_t t_ = 0;
  std::int64_t t_delta_ = 0;
  XorValue sum_;
  Counter count_;
  Counter zero_count_;
  std::vector<Counter> integers_;  // Positive buckets, then negative ones.
  XorValue float_count_;
  XorValue float_zero_count_;
  std::vector<XorValue> floats_;
};

}  // namespace tarsier::tsdb
