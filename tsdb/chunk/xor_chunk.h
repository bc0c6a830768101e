#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// No chunk of any encoding holds more: the count is 16 bits wide.
inline constexpr std::size_t kChunkSamplesMax = 65535;
/// The sample count in front of the bit stream.
inline constexpr std::size_t kXorHeaderBytes = 2;
/// What one sample can cost: a partial byte, 4 + 64 bits of time, 2 + 5 + 6 + 64 bits of value.
inline constexpr std::size_t kXorSampleBytesMax = 20;

/// The bytes one more sample adds to a chunk. They replace the chunk from byte `offset` on: the
/// first of them repeats the bits the chunk's partly filled last byte already had.
struct XorTail {
  std::size_t offset = 0;
  std::size_t size = 0;
  std::array<std::byte, 40>
      bytes;  ///< Only the first `size` mean something; the rest is room for whole-word stores.
};

/// Encodes float samples as Prometheus does, bit for bit (FORMAT.md, "XOR chunk"). A plain value
/// that holds what the next sample is encoded against, so that it can live in a series record while
/// the bytes lie wherever the caller keeps them, in one piece or in several. The two bytes of the
/// count are left to the caller (`write_xor_count`), who may keep the count here until the chunk is
/// full. One thread at a time.
struct XorState {
  std::int64_t t = 0;
  std::uint64_t value_bits = 0;
  std::int64_t delta = 0;
  std::uint32_t bit_count = 8 * kXorHeaderBytes;  ///< Of the whole chunk, count included.
  std::uint16_t sample_count = 0;
  std::uint8_t leading = kNoWindow;
  std::uint8_t trailing = 0;

  static constexpr std::uint8_t kNoWindow = 0xff;

  std::size_t byte_count() const { return (std::size_t{bit_count} + 7) / 8; }
  /// Encodes `sample` as the next one and moves on to it. `last` is the chunk's last byte (anything
  /// if `bit_count` is a multiple of 8).
  /// REQUIRES: sample.t is not before the newest, and the chunk is not full (DCHECKed). The same
  /// time twice is for Thanos' counters alone (thanos_downsampler.h).
  XorTail append(Sample sample, std::byte last);
};
static_assert(sizeof(XorState) == 32, "half a cache line of a series record");

/// Up to where several samples may be appended to one chunk.
struct XorLimits {
  std::int64_t t_end = 0;              ///< Exclusive.
  std::uint16_t sample_count_max = 0;  ///< The chunk is not made to hold more.
  std::size_t byte_count_max = 0;      ///< No sample is added to a chunk above this. At most 1200.
};

/// The bytes several samples add to a chunk, as XorTail. Room for all the limits allow.
struct XorTails {
  std::size_t count = 0;   ///< Samples appended.
  std::size_t offset = 0;  ///< The bytes replace the chunk from here on.
  std::size_t size = 0;
  std::array<std::byte, 1280> bytes;
};

/// Appends the samples up to the first that is beyond the limits or not later than the one before
/// it, and says how many in `out`. The bytes are what as many calls of XorState::append give; for
/// whoever has many samples of one series at hand, it is twice as fast. `last` is as there.
void append_xor_run(XorState& state, std::span<const Sample> samples, const XorLimits& limits,
                    std::byte last, XorTails& out);

void write_xor_count(std::span<std::byte> chunk, std::uint16_t sample_count);

/// One chunk under construction in one growing piece of memory: for block writers and tests.
class XorEncoder final {
 public:
  XorEncoder() : bytes_(kXorHeaderBytes, '\0') {}
  /// REQUIRES: as XorState::append.
  void append(Sample sample);
  /// The finished chunk so far. The view lives until the next call.
  Bytes bytes() const { return as_bytes(bytes_); }
  const XorState& state() const { return state_; }

 private:
  XorState state_;
  std::string bytes_;
};

/// Walks the samples of one XOR chunk in time order. Borrows `chunk`, which must outlive it. One
/// thread at a time. Surplus bytes after the last sample are allowed: Prometheus before 3.0 left
/// one.
class XorIterator final {
 public:
  explicit XorIterator(Bytes chunk);
  XorIterator(const XorIterator&) = delete;
  XorIterator& operator=(const XorIterator&) = delete;

  /// Steps to the next sample. False at the end and at the first damaged bit; `status()` tells
  /// which.
  bool next();
  Sample sample() const {  ///< REQUIRES: the last next() returned true.
    return {Timestamp{state_.t}, std::bit_cast<double>(state_.value_bits)};
  }
  /// How many samples the chunk says it has; 0 if it is too short to say.
  std::size_t sample_count() const { return sample_count_; }
  /// kCorruption, naming the bit offset, if decoding stopped early.
  Status status() const;
  /// What is needed to append to the chunk. REQUIRES: next() reached the end without damage.
  XorState state() const;

 private:
  friend Status decode_xor_chunk(Bytes, TimeRange, SampleColumns&, std::size_t);
  /// Decodes samples 0 and 1's time, which are byte-aligned and coded differently.
  bool decode_first();
  bool decode_second();
  bool decode_later();
  void enter_tail();
  bool fail() {
    failed_ = true;
    return false;
  }

  // While at least kRunway bytes follow, bits are loaded straight from the chunk. The rest is
  // copied to `tail_` and followed by zeros, so that no load ever passes the end of the chunk.
  static constexpr std::size_t kRunway = 40;

  Bytes chunk_;
  std::size_t sample_count_ = 0;
  std::size_t done_count_ = 0;
  XorState state_;         // Its bit_count is the read position, from data_ on.
  const std::byte* data_;  // Into chunk_ or tail_.
  std::uint32_t runway_ =
      0;  // The last bit position from which a sample may be decoded without care.
  std::uint32_t bit_end_ = 0;   // Where the chunk ends.
  std::uint32_t bit_base_ = 0;  // The position of data_ in the chunk.
  bool failed_ = false;
  std::array<std::byte, 2 * kRunway> tail_;
};

/// Appends the chunk's samples within `range` (both ends inclusive) to `out`, looking at the first
/// `sample_count_max` only. kCorruption, naming the bit offset, at the first damaged bit that has
/// to be read; `out` then holds the samples before it.
Status decode_xor_chunk(Bytes chunk, TimeRange range, SampleColumns& out,
                        std::size_t sample_count_max = kChunkSamplesMax);

}  // namespace tarsier::tsdb
