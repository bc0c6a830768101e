#include "tsdb/chunk/xor2_chunk.h"

#include <bit>
#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

#include "tsdb/chunk/bit_stream.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kHeaderBytes = 3;

/// Ordinary two's complement, unlike the times of XOR chunks.
std::int64_t read_signed(BitReader& in, unsigned bits) {
  const std::uint64_t v = in.bits(bits) << (64 - bits);
  return static_cast<std::int64_t>(v) >> (64 - bits);
}

class Xor2Decoder final {
 public:
  explicit Xor2Decoder(Bytes chunk)
      : in_(chunk.subspan(kHeaderBytes)),
        has_first_start_((static_cast<unsigned>(chunk[2]) & 0x80) != 0),
        start_change_(static_cast<std::size_t>(chunk[2]) & 0x7f) {}

  /// Decodes sample number `n`. False at damage.
  bool step(std::size_t n) {
    if (n == 0) return first() && in_.ok();
    if (n == 1) {
      delta_ = in_.uvarint();
      read_value();
    } else {
      read_joint();
    }
    if (start_change_ > 0 && n >= start_change_) in_.varbit_int();
    const auto t = static_cast<std::int64_t>(static_cast<std::uint64_t>(t_) + delta_);
    const bool is_later = t > t_;
    t_ = t;
    return is_later && in_.ok();
  }
  Sample sample() const {
    return {Timestamp{t_}, is_stale_ ? stale_marker() : std::bit_cast<double>(value_)};
  }
  std::size_t bit() const { return 8 * kHeaderBytes + in_.bit(); }

 private:
  bool first() {
    t_ = in_.varint();
    value_ = in_.bits(64);
    // A marker in front is stored as it is, and later values are coded against zero.
    is_stale_ = value_ == kStaleMarkerBits;
    if (!is_stale_) baseline_.bits = value_;
    if (has_first_start_) in_.varint();
    return true;
  }

  /// Time and value of the third sample and later ones.
  void read_joint() {
    if (!in_.flag()) return take_baseline();
    if (!in_.flag()) return read_changed_value();
    if (!in_.flag()) return step_and_value(13);
    if (!in_.flag()) return step_and_value(20);
    if (!in_.flag()) return step_and_value(64);
    is_stale_ = true;
  }
  void step_and_value(unsigned bits) {
    delta_ += static_cast<std::uint64_t>(read_signed(in_, bits));
    read_value();
  }
  void read_value() {
    if (!in_.flag()) return take_baseline();
    if (!in_.flag()) {
      in_.inside_window(baseline_);
      return take_baseline();
    }
    if (in_.flag()) {
      is_stale_ = true;
      return;
    }
    in_.window(baseline_);
    in_.inside_window(baseline_);
    take_baseline();
  }
  void read_changed_value() {
    if (in_.flag()) in_.window(baseline_);
    in_.inside_window(baseline_);
    take_baseline();
  }
  void take_baseline() {
    is_stale_ = false;
    value_ = baseline_.bits;
  }

  BitReader in_;
  const bool has_first_start_;
  const std::size_t start_change_;  // The first sample whose start differs; 0 if none does.
  std::int64_t t_ = 0;
  std::uint64_t delta_ = 0;
  std::uint64_t value_ = 0;
  bool is_stale_ = false;
  XorValue baseline_;  // The last value that is no stale marker.
};

}  // namespace

Status decode_xor2_chunk(Bytes chunk, TimeRange range, SampleColumns& out) {
  if (chunk.size() < kHeaderBytes) {
    return corruption(fmt::format("XOR2 chunk of {} bytes: no header", chunk.size()));
  }
  const std::size_t count = load_be<std::uint16_t>(chunk.data());
  Xor2Decoder decoder(chunk);
  for (std::size_t n = 0; n < count; ++n) {
    if (!decoder.step(n)) {
      return corruption(
          fmt::format("XOR2 chunk of {} bytes: damaged before bit {}, in sample {} of {}",
                      chunk.size(), decoder.bit(), n, count));
    }
    const Sample sample = decoder.sample();
    if (sample.t > range.max) break;
    if (sample.t >= range.min) out.push_back(sample.t, sample.v);
  }
  return {};
}

}  // namespace tarsier::tsdb
