#include "tsdb/chunk/xor_chunk.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

/// More than 65535 samples can need: bytes beyond are surplus, and bit positions fit 32 bits.
constexpr std::size_t kChunkBytesMax = kXorHeaderBytes + kXorSampleBytesMax * kChunkSamplesMax;
constexpr unsigned kLeadingMax = 31;  // What five bits can say.

void store_be64(std::byte* p, std::uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof v);
}

/// Appends bits, most significant first, to memory with room for a whole word beyond the end.
class BitWriter final {
 public:
  /// Goes on after the first `used` (0..7) bits of `last`.
  BitWriter(std::byte* out, std::byte last, unsigned used) : out_(out), bit_(used) {
    out_[0] = used == 0 ? std::byte{0} : last & static_cast<std::byte>(0xff << (8 - used));
  }
  /// REQUIRES: 1 <= count <= 64, and `v` has no higher bits.
  void put(std::uint64_t v, unsigned count) {
    std::byte* const at = out_ + (bit_ >> 3);
    const unsigned used = bit_ & 7;
    const std::uint64_t high = v << (64 - count);
    store_be64(at, (static_cast<std::uint64_t>(*at) << 56) | (high >> used));
    at[8] = static_cast<std::byte>((high << 1) << (7 - used));  // What did not fit the word.
    bit_ += count;
  }
  void put_varint_bytes(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) put((v & 0x7f) | 0x80, 8);
    put(v, 8);
  }
  unsigned bit() const { return bit_; }

 private:
  std::byte* out_;
  unsigned bit_;
};

/// The same with the newest bits in a register, for many samples in a row.
class RunWriter final {
 public:
  /// Goes on after the first `used` (0..7) bits of `last`.
  RunWriter(std::byte* out, std::byte last, unsigned used) : begin_(out), out_(out), used_(used) {
    if (used == 0) return;
    word_ = static_cast<std::uint64_t>(last & static_cast<std::byte>(0xff << (8 - used))) << 56;
  }
  /// REQUIRES: 1 <= count <= 64, and `v` has no higher bits.
  void put(std::uint64_t v, unsigned count) {
    const unsigned room = 64 - used_;
    if (count < room) {
      word_ |= v << (room - count);
      used_ += count;
      return;
    }
    const unsigned rest = count - room;
    store_be64(out_, word_ | (v >> rest));
    out_ += 8;
    used_ = rest;
    word_ = rest == 0 ? 0 : v << (64 - rest);
  }
  void put_varint_bytes(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) put((v & 0x7f) | 0x80, 8);
    put(v, 8);
  }
  unsigned bit() const { return static_cast<unsigned>(out_ - begin_) * 8 + used_; }
  void finish() { store_be64(out_, word_); }

 private:
  std::byte* const begin_;
  std::byte* out_;
  std::uint64_t word_ = 0;  // Its highest `used_` bits are not stored yet; the others are zero.
  unsigned used_;           // Below 64.
};

/// n payload bits cover -(2^(n-1) - 1) .. 2^(n-1): the upper end is in, the lower is not.
constexpr bool fits(std::int64_t v, unsigned bits) {
  const std::int64_t half = std::int64_t{1} << (bits - 1);
  return -half < v && v <= half;
}
constexpr std::uint64_t low_bits(std::int64_t v, unsigned bits) {
  return static_cast<std::uint64_t>(v) & ((std::uint64_t{1} << bits) - 1);
}

template <typename Writer>
void put_time(Writer& out, std::int64_t dod) {
  if (dod == 0) {
    out.put(0b0, 1);
  } else if (fits(dod, 14)) {
    out.put((std::uint64_t{0b10} << 14) | low_bits(dod, 14), 2 + 14);
  } else if (fits(dod, 17)) {
    out.put((std::uint64_t{0b110} << 17) | low_bits(dod, 17), 3 + 17);
  } else if (fits(dod, 20)) {
    out.put((std::uint64_t{0b1110} << 20) | low_bits(dod, 20), 4 + 20);
  } else {
    out.put(0b1111, 4);
    out.put(static_cast<std::uint64_t>(dod), 64);
  }
}

template <typename Writer>
void put_value(Writer& out, XorState& state, std::uint64_t value_bits) {
  const std::uint64_t x = value_bits ^ state.value_bits;
  if (x == 0) return out.put(0b0, 1);
  const unsigned leading = std::min(static_cast<unsigned>(std::countl_zero(x)), kLeadingMax);
  const unsigned trailing = static_cast<unsigned>(std::countr_zero(x));
  // Without a window `leading` is below kNoWindow, so the first difference opens one.
  if (leading >= state.leading && trailing >= state.trailing) {
    out.put(0b10, 2);
    return out.put(x >> state.trailing, 64u - state.leading - state.trailing);
  }
  const unsigned significant = 64 - leading - trailing;
  out.put((std::uint64_t{0b11} << 11) | (leading << 6) | (significant & 63), 2 + 5 + 6);
  out.put(x >> trailing, significant);
  state.leading = static_cast<std::uint8_t>(leading);
  state.trailing = static_cast<std::uint8_t>(trailing);
}

/// Writes the sample and moves the state on to it, but for its bit count.
template <typename Writer>
inline void put_sample(Writer& out, XorState& state, Sample sample) {
  const std::uint64_t sample_bits = std::bit_cast<std::uint64_t>(sample.v);
  // Differences of times wrap around: two far ends of time are further apart than 63 bits.
  const auto step = static_cast<std::int64_t>(static_cast<std::uint64_t>(sample.t.ms) -
                                              static_cast<std::uint64_t>(state.t));
  if (state.sample_count == 0) {
    out.put_varint_bytes(zigzag(sample.t.ms));
    out.put(sample_bits, 64);
  } else if (state.sample_count == 1) {
    out.put_varint_bytes(static_cast<std::uint64_t>(step));
    put_value(out, state, sample_bits);
    state.delta = step;
  } else {
    put_time(out, static_cast<std::int64_t>(static_cast<std::uint64_t>(step) -
                                            static_cast<std::uint64_t>(state.delta)));
    put_value(out, state, sample_bits);
    state.delta = step;
  }
  state.t = sample.t.ms;
  state.value_bits = sample_bits;
  ++state.sample_count;
}

/// The bits from position `bit` on; at least the first 57 are valid.
inline std::uint64_t peek(const std::byte* data, std::uint32_t bit) {
  return load_be<std::uint64_t>(data + (bit >> 3)) << (bit & 7);
}
/// The 64 bits from position `bit` on.
inline std::uint64_t peek_whole(const std::byte* data, std::uint32_t bit) {
  const std::uint64_t next = static_cast<std::uint64_t>(data[(bit >> 3) + 8]);
  return peek(data, bit) | (next >> (8 - (bit & 7)));
}

/// Reads one value code at the state's position, of which `word` has the bits, 33 of them valid at
/// least. False if the window is impossible.
inline bool read_value(const std::byte* data, XorState& s, std::uint64_t word) {
  if ((word >> 63) == 0) {
    s.bit_count += 1;
    return true;
  }
  if ((word >> 62) == 0b11) {
    const unsigned leading = static_cast<unsigned>(word >> 57) & 31;
    const unsigned significant =
        (((static_cast<unsigned>(word >> 51) & 63) + 63) & 63) + 1;  // 0 says 64.
    s.bit_count += 2 + 5 + 6;
    if (leading + significant > 64) return false;
    s.leading = static_cast<std::uint8_t>(leading);
    s.trailing = static_cast<std::uint8_t>(64 - leading - significant);
  } else {
    s.bit_count += 2;
    if (s.leading == XorState::kNoWindow) return false;
  }
  const unsigned significant = 64u - s.leading - s.trailing;
  s.value_bits ^= (peek_whole(data, s.bit_count) >> (64 - significant)) << s.trailing;
  s.bit_count += significant;
  return true;
}

/// Adds the delta to the time. Times increase: a step back, or past the end of time, is damage.
/// A step may be as long as all of time, which is more than a signed number says.
inline bool step_time(XorState& s) {
  const auto t = static_cast<std::int64_t>(static_cast<std::uint64_t>(s.t) +
                                           static_cast<std::uint64_t>(s.delta));
  const bool later = t > s.t;
  s.t = t;
  return later;
}

/// By the first four bits of a time code: how many of them are prefix, and how long the payload is.
struct TimeCode {
  std::uint8_t prefix_bits;
  std::uint8_t payload_bits;
};
constexpr std::array<TimeCode, 16> kTimeCodes = {{{1, 0},
                                                  {1, 0},
                                                  {1, 0},
                                                  {1, 0},
                                                  {1, 0},
                                                  {1, 0},
                                                  {1, 0},
                                                  {1, 0},
                                                  {2, 14},
                                                  {2, 14},
                                                  {2, 14},
                                                  {2, 14},
                                                  {3, 17},
                                                  {3, 17},
                                                  {4, 20},
                                                  {4, 64}}};

/// Decodes sample 2 or a later one at the state's position, reading at most 40 bytes from there on.
/// False if the bits cannot be right. One look shows the time's code and the head of the value's.
inline bool read_sample(const std::byte* data, XorState& s) {
  std::uint64_t word = peek(data, s.bit_count);
  if ((word >> 63) == 0) {
    s.bit_count += 1;
    word <<= 1;
  } else {
    const TimeCode code = kTimeCodes[word >> 60];
    s.bit_count += code.prefix_bits;
    std::uint64_t dod;
    if (code.payload_bits == 64) [[unlikely]] {
      dod = peek_whole(data, s.bit_count);
      word = peek(data, s.bit_count + 64);
    } else {
      word <<= code.prefix_bits;
      dod = word >> (64 - code.payload_bits);
      const std::uint64_t half = std::uint64_t{1} << (code.payload_bits - 1);
      if (dod > half) dod -= half << 1;
      word <<= code.payload_bits;
    }
    s.bit_count += code.payload_bits;
    s.delta = static_cast<std::int64_t>(static_cast<std::uint64_t>(s.delta) + dod);
  }
  return step_time(s) && read_value(data, s, word);
}

}  // namespace

XorTail XorState::append(Sample sample, std::byte last) {
  DCHECK(sample_count < kChunkSamplesMax);
  DCHECK(sample_count == 0 || sample.t.ms >= t);
  XorTail tail;
  tail.offset = bit_count / 8;
  const unsigned used = bit_count % 8;
  BitWriter out(tail.bytes.data(), last, used);
  put_sample(out, *this, sample);
  tail.size = (out.bit() + 7) / 8;
  bit_count += out.bit() - used;
  return tail;
}

void append_xor_run(XorState& state, std::span<const Sample> samples, const XorLimits& limits,
                    std::byte last, XorTails& out) {
  CHECK(limits.byte_count_max + 2 * kXorSampleBytesMax <= out.bytes.size());
  XorState next = state;
  out.offset = next.bit_count / 8;
  const unsigned used = next.bit_count % 8;
  const std::uint32_t bit_max = static_cast<std::uint32_t>(8 * limits.byte_count_max);
  const std::uint32_t bits_before = next.bit_count - used;
  RunWriter writer(out.bytes.data(), last, used);
  std::size_t i = 0;
  for (; i < samples.size(); ++i) {
    const Sample sample = samples[i];
    const bool is_later = next.sample_count == 0 || sample.t.ms > next.t;
    if (!is_later || sample.t.ms >= limits.t_end || next.sample_count >= limits.sample_count_max ||
        bits_before + writer.bit() > bit_max) {
      break;
    }
    put_sample(writer, next, sample);
  }
  writer.finish();
  next.bit_count = bits_before + writer.bit();
  out.count = i;
  out.size = (writer.bit() + 7) / 8;
  state = next;
}

void write_xor_count(std::span<std::byte> chunk, std::uint16_t sample_count) {
  CHECK(chunk.size() >= kXorHeaderBytes);
  chunk[0] = static_cast<std::byte>(sample_count >> 8);
  chunk[1] = static_cast<std::byte>(sample_count & 0xff);
}

void XorEncoder::append(Sample sample) {
  const XorTail tail = state_.append(sample, static_cast<std::byte>(bytes_.back()));
  bytes_.resize(tail.offset);
  bytes_ += as_text(Bytes(tail.bytes).first(tail.size));
  write_xor_count(std::as_writable_bytes(std::span(bytes_)), state_.sample_count);
}

XorIterator::XorIterator(Bytes chunk)
    : chunk_(chunk.first(std::min(chunk.size(), kChunkBytesMax))), data_(chunk_.data()) {
  if (chunk_.size() < kXorHeaderBytes) {
    state_.bit_count = 0;
    failed_ = true;
    return;
  }
  sample_count_ = load_be<std::uint16_t>(data_);
  bit_end_ = static_cast<std::uint32_t>(8 * chunk_.size());
  if (chunk_.size() > kRunway) runway_ = static_cast<std::uint32_t>(8 * (chunk_.size() - kRunway));
}

bool XorIterator::decode_first() {
  ByteReader reader(chunk_.subspan(kXorHeaderBytes));
  state_.t = reader.varint();
  state_.value_bits = reader.be64();
  state_.bit_count += static_cast<std::uint32_t>(8 * reader.offset());
  return reader.ok();
}

bool XorIterator::decode_second() {
  ByteReader reader(chunk_.subspan(state_.bit_count / 8));
  state_.delta = static_cast<std::int64_t>(reader.uvarint());
  if (!reader.ok() || !step_time(state_)) return false;
  state_.bit_count += static_cast<std::uint32_t>(8 * reader.offset());
  if (state_.bit_count > runway_) enter_tail();
  return read_value(data_, state_, peek(data_, state_.bit_count)) && state_.bit_count <= bit_end_;
}

bool XorIterator::decode_later() {
  if (state_.bit_count > runway_ && data_ != tail_.data()) enter_tail();
  return read_sample(data_, state_) && state_.bit_count <= bit_end_;
}

void XorIterator::enter_tail() {
  const std::size_t skipped = std::min<std::size_t>(state_.bit_count / 8, chunk_.size());
  const Bytes rest = chunk_.subspan(skipped);
  CHECK(rest.size() <= kRunway);
  tail_.fill(std::byte{0});
  std::copy(rest.begin(), rest.end(), tail_.begin());
  data_ = tail_.data();
  bit_base_ = static_cast<std::uint32_t>(8 * skipped);
  state_.bit_count -= bit_base_;
  bit_end_ -= bit_base_;
  runway_ = bit_end_;
}

bool XorIterator::next() {
  if (failed_ || done_count_ == sample_count_) return false;
  const bool good = done_count_ >= 2   ? decode_later()
                    : done_count_ == 1 ? decode_second()
                                       : decode_first();
  if (!good) return fail();
  ++done_count_;
  return true;
}

XorState XorIterator::state() const {
  XorState state = state_;
  state.bit_count += bit_base_;
  state.sample_count = static_cast<std::uint16_t>(done_count_);
  return state;
}

Status XorIterator::status() const {
  if (!failed_) return {};
  return corruption(fmt::format("XOR chunk of {} bytes: damaged before bit {}, in sample {} of {}",
                                chunk_.size(), bit_base_ + state_.bit_count, done_count_,
                                sample_count_));
}

namespace {

/// Takes out the samples from position `from` on that are before `time`.
void remove_before(Timestamp time, std::size_t from, SampleColumns& columns) {
  const auto first = columns.times_ms.begin() + static_cast<std::ptrdiff_t>(from);
  const auto early = std::lower_bound(first, columns.times_ms.end(), time.ms) - first;
  if (early == 0) return;
  const auto first_value = columns.values.begin() + static_cast<std::ptrdiff_t>(from);
  columns.times_ms.erase(first, first + early);
  columns.values.erase(first_value, first_value + early);
}

}  // namespace

Status decode_xor_chunk(Bytes chunk, TimeRange range, SampleColumns& out,
                        std::size_t sample_count_max) {
  XorIterator it(chunk);
  if (it.failed_) return it.status();
  const std::size_t count = std::min(it.sample_count_, sample_count_max);
  const std::size_t before = out.size();
  // A sample has at least two bits: the count of a damaged chunk cannot ask for more memory than
  // that.
  const std::size_t room = std::min<std::size_t>(count, 4 * chunk.size());
  out.times_ms.resize(before + room);
  out.values.resize(before + room);
  std::int64_t* times = out.times_ms.data() + before;
  double* values = out.values.data() + before;
  const auto keep = [&](const XorState& s) {
    *times++ = s.t;
    *values++ = std::bit_cast<double>(s.value_bits);
  };
  const std::int64_t end = range.max.ms;
  while (it.done_count_ < count && (it.done_count_ == 0 || it.state_.t <= end) && it.next()) {
    keep(it.state_);
    if (it.done_count_ < 2) continue;
    // All the rest, from registers; the outer loop comes round once more where the runway ends.
    XorState s = it.state_;
    std::size_t done = it.done_count_;
    bool good = true;
    while (done < count && s.t <= end && s.bit_count <= it.runway_ &&
           (good = read_sample(it.data_, s) && s.bit_count <= it.bit_end_)) {
      keep(s);
      ++done;
    }
    it.state_ = s;
    it.done_count_ = done;
    it.failed_ = !good;
  }
  // What is beside the range: the last one that was looked at, and the first ones.
  auto kept = static_cast<std::size_t>(times - out.times_ms.data());
  if (kept > before && out.times_ms[kept - 1] > end) --kept;
  out.times_ms.resize(kept);
  out.values.resize(kept);
  remove_before(range.min, before, out);
  return it.status();
}

}  // namespace tarsier::tsdb
