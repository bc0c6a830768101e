#include "tsdb/chunk/histogram_iterator.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/chunk/xor2_chunk.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

/// More than any chunk of ours; foreign ones may be longer, but not so long that bits overflow.
constexpr std::size_t kChunkBytesMax = std::size_t{1} << 30;
constexpr std::uint16_t kCountMaskWithStarts = 0x3fff;

std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

double number(const XorValue& value) { return std::bit_cast<double>(value.bits); }

}  // namespace

std::size_t chunk_sample_count(ChunkEncoding encoding, Bytes chunk) {
  if (chunk.size() < sizeof(std::uint16_t)) return 0;
  const auto count = load_be<std::uint16_t>(chunk.data());
  return has_start_times(encoding) ? count & kCountMaskWithStarts : count;
}

void HistogramIterator::Counter::read(BitReader& in) {
  delta = wrapping_add(delta, in.varbit_int());
  value = wrapping_add(value, delta);
}

HistogramIterator::HistogramIterator(ChunkEncoding encoding, Bytes chunk)
    : chunk_(chunk.first(std::min(chunk.size(), kChunkBytesMax))),
      in_(chunk_.subspan(std::min(chunk_.size(), kHistogramHeaderBytes))),
      is_float_(is_float_histogram_encoding(encoding)),
      has_starts_(has_start_times(encoding)) {
  CHECK(is_histogram_encoding(encoding));
  if (chunk_.size() < kHistogramHeaderBytes) {
    failed_ = true;
    return;
  }
  sample_count_ = chunk_sample_count(encoding, chunk_);
  const auto flags = static_cast<unsigned>(chunk_[has_starts_ ? 0 : 2]);
  header_ = static_cast<ChunkResetHeader>(flags >> 6);
  if (!has_starts_) return;
  const auto starts = static_cast<unsigned>(chunk_[2]);
  has_first_start_ = (starts & 0x80) != 0;
  start_change_ = starts & 0x7f;
}

bool HistogramIterator::first() {
  if (!decode_layout(in_, layout_)) return false;
  positive_count_ = bucket_count(layout_.positive_spans);
  const std::size_t buckets = positive_count_ + bucket_count(layout_.negative_spans);
  const std::size_t bits_per_bucket = is_float_ ? 64 : 1;
  t_ = in_.varbit_int();
  if (buckets > in_.remaining_bits() / bits_per_bucket) return false;
  if (is_float_) {
    float_count_.bits = in_.bits(64);
    float_zero_count_.bits = in_.bits(64);
    sum_.bits = in_.bits(64);
    floats_.resize(buckets);
    for (XorValue& one : floats_) one.bits = in_.bits(64);
  } else {
    count_.value = static_cast<std::int64_t>(in_.varbit_uint());
    zero_count_.value = static_cast<std::int64_t>(in_.varbit_uint());
    sum_.bits = in_.bits(64);
    integers_.resize(buckets);
    for (Counter& one : integers_) one.value = in_.varbit_int();
  }
  return true;
}

bool HistogramIterator::later() {
  t_delta_ = wrapping_add(t_delta_, in_.varbit_int());
  const std::int64_t t = wrapping_add(t_, t_delta_);
  if (t <= t_) return false;
  t_ = t;
  if (is_float_) {
    in_.xored(float_count_);
    in_.xored(float_zero_count_);
    in_.xored(sum_);
    if (is_stale()) return true;
    for (XorValue& one : floats_) in_.xored(one);
  } else {
    count_.read(in_);
    zero_count_.read(in_);
    in_.xored(sum_);
    if (is_stale()) return true;
    for (Counter& one : integers_) one.read(in_);
  }
  return true;
}

void HistogramIterator::read_start() {
  if (done_count_ == 0) {
    if (has_first_start_) in_.varint();
  } else if (start_change_ > 0 && done_count_ >= start_change_) {
    in_.varbit_int();
  }
}

bool HistogramIterator::next() {
  if (failed_ || done_count_ == sample_count_) return false;
  const bool good = done_count_ == 0 ? first() : later();
  if (good && has_starts_) read_start();
  if (!good || !in_.ok()) {
    failed_ = true;
    return false;
  }
  ++done_count_;
  return true;
}

CounterResetHint HistogramIterator::hint() const {
  if (header_ == ChunkResetHeader::kGauge) return CounterResetHint::kGauge;
  return done_count_ == 1 ? CounterResetHint::kUnknown : CounterResetHint::kNotReset;
}

AnyHistogram HistogramIterator::histogram() const {
  const double sum = number(sum_);
  const auto positive = static_cast<std::ptrdiff_t>(positive_count_);
  if (is_float_) {
    FloatHistogram out;
    out.hint = hint();
    out.sum = sum;
    if (is_stale()) return out;
    out.layout = layout_;
    out.count = number(float_count_);
    out.zero_count = number(float_zero_count_);
    std::transform(floats_.begin(), floats_.begin() + positive,
                   std::back_inserter(out.positive_counts), number);
    std::transform(floats_.begin() + positive, floats_.end(),
                   std::back_inserter(out.negative_counts), number);
    return out;
  }
  IntegerHistogram out;
  out.hint = hint();
  out.sum = sum;
  if (is_stale()) return out;
  out.layout = layout_;
  out.count = static_cast<std::uint64_t>(count_.value);
  out.zero_count = static_cast<std::uint64_t>(zero_count_.value);
  const auto value = [](const Counter& one) { return one.value; };
  std::transform(integers_.begin(), integers_.begin() + positive,
                 std::back_inserter(out.positive_deltas), value);
  std::transform(integers_.begin() + positive, integers_.end(),
                 std::back_inserter(out.negative_deltas), value);
  return out;
}

void HistogramIterator::append_to(HistogramColumns& out, std::uint32_t& layout) const {
  if (is_stale() || layout_.schema > kExponentialSchemaMax) {
    // Rare: a series' end, or a resolution finer than is computed with.
    AnyHistogram one = histogram();
    FloatHistogram floats = is_float_ ? std::move(std::get<FloatHistogram>(one))
                                      : to_float(std::get<IntegerHistogram>(one));
    if (!prepare_for_storage(floats).ok()) floats = FloatHistogram{.sum = stale_marker()};
    out.push_back(t(), floats);
    return;
  }
  if (layout == kNoLayout) {
    if (out.layouts.empty() || !(out.layouts.back() == layout_)) out.layouts.push_back(layout_);
    layout = static_cast<std::uint32_t>(out.layouts.size() - 1);
  }
  out.times_ms.push_back(t_);
  out.sums.push_back(number(sum_));
  out.hints.push_back(hint());
  out.layout.push_back(layout);
  out.first_bucket.push_back(out.buckets.size());
  if (is_float_) {
    out.counts.push_back(number(float_count_));
    out.zero_counts.push_back(number(float_zero_count_));
    for (const XorValue& one : floats_) out.buckets.push_back(number(one));
    return;
  }
  out.counts.push_back(static_cast<double>(static_cast<std::uint64_t>(count_.value)));
  out.zero_counts.push_back(static_cast<double>(static_cast<std::uint64_t>(zero_count_.value)));
  std::int64_t count = 0;
  for (std::size_t i = 0; i < integers_.size(); ++i) {
    if (i == positive_count_) count = 0;
    count = wrapping_add(count, integers_[i].value);
    out.buckets.push_back(static_cast<double>(count));
  }
}

Status HistogramIterator::status() const {
  if (!failed_) return {};
  return corruption(fmt::format(
      "histogram chunk of {} bytes: damaged before bit {}, in sample {} of {}", chunk_.size(),
      8 * kHistogramHeaderBytes + in_.bit(), done_count_, sample_count_));
}

Status decode_histogram_chunk(ChunkEncoding encoding, Bytes chunk, TimeRange range,
                              HistogramColumns& out) {
  HistogramIterator it(encoding, chunk);
  std::uint32_t layout = HistogramIterator::kNoLayout;
  while (it.next()) {
    if (it.t() > range.max) return {};
    if (it.t() >= range.min) it.append_to(out, layout);
  }
  return it.status();
}

Status decode_float_chunk(ChunkEncoding encoding, Bytes chunk, TimeRange range,
                          SampleColumns& out) {
  CHECK(is_float_encoding(encoding));
  return encoding == ChunkEncoding::kXor ? decode_xor_chunk(chunk, range, out)
                                         : decode_xor2_chunk(chunk, range, out);
}

}  // namespace tarsier::tsdb
