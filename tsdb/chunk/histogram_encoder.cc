#include "tsdb/chunk/histogram_encoder.h"

#include <bit>
#include <utility>

#include "base/check.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

std::int64_t wrapping_subtract(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::uint64_t bits_of(double v) { return std::bit_cast<std::uint64_t>(v); }

/// Counts each for itself.
std::vector<std::int64_t> sums_of(std::span<const std::int64_t> deltas) {
  std::vector<std::int64_t> counts;
  counts.reserve(deltas.size());
  std::uint64_t count = 0;
  for (const std::int64_t delta : deltas) {
    count += static_cast<std::uint64_t>(delta);
    counts.push_back(static_cast<std::int64_t>(count));
  }
  return counts;
}
std::vector<std::int64_t> deltas_of(std::span<const std::int64_t> counts) {
  std::vector<std::int64_t> deltas;
  deltas.reserve(counts.size());
  std::int64_t last = 0;
  for (const std::int64_t count : counts) {
    deltas.push_back(wrapping_subtract(count, last));
    last = count;
  }
  return deltas;
}

using Spans = std::span<const BucketSpan>;
using Integers = std::span<const std::int64_t>;
using Doubles = std::span<const double>;

/// Gives the histogram the buckets of `wanted`, which has all of its own.
void spread(IntegerHistogram& histogram, const BucketLayout& wanted) {
  const auto side = [](Spans from, std::vector<std::int64_t>& deltas, Spans to) {
    deltas = deltas_of(spread_counts(from, Integers(sums_of(deltas)), to));
  };
  side(histogram.layout.positive_spans, histogram.positive_deltas, wanted.positive_spans);
  side(histogram.layout.negative_spans, histogram.negative_deltas, wanted.negative_spans);
  histogram.layout.positive_spans = wanted.positive_spans;
  histogram.layout.negative_spans = wanted.negative_spans;
}
void spread(FloatHistogram& histogram, const BucketLayout& wanted) {
  const auto side = [](Spans from, std::vector<double>& counts, Spans to) {
    counts = spread_counts(from, Doubles(counts), to);
  };
  side(histogram.layout.positive_spans, histogram.positive_counts, wanted.positive_spans);
  side(histogram.layout.negative_spans, histogram.negative_counts, wanted.negative_spans);
  histogram.layout.positive_spans = wanted.positive_spans;
  histogram.layout.negative_spans = wanted.negative_spans;
}

/// The buckets of both; cut into spans as the newer has them, if it has all.
std::vector<BucketSpan> unite(Spans old, const std::vector<BucketSpan>& newer) {
  std::vector<BucketSpan> united = unite_spans(old, newer);
  return has_same_buckets(united, newer) ? newer : united;
}

/// A stale sample has no buckets.
AnyHistogram only_sum(const AnyHistogram& histogram) {
  if (histogram.index() == 1) return FloatHistogram{.sum = sum_of(histogram)};
  return IntegerHistogram{.sum = sum_of(histogram)};
}

}  // namespace

void HistogramEncoder::Counter::put(BitWriter& out, std::int64_t next) {
  const std::int64_t next_delta = wrapping_subtract(next, value);
  out.put_varbit_int(wrapping_subtract(next_delta, delta));
  value = next;
  delta = next_delta;
}

HistogramEncoder::HistogramEncoder(ChunkEncoding encoding) : encoding_(encoding) {
  CHECK(encoding == ChunkEncoding::kHistogram || encoding == ChunkEncoding::kFloatHistogram);
  begin(ChunkResetHeader::kUnknown);
}

std::size_t HistogramEncoder::memory_bytes() const {
  return sizeof(*this) + bytes_.capacity() + integers_.capacity() * sizeof(Counter) +
         floats_.capacity() * sizeof(XorValue) +
         (layout_.positive_spans.capacity() + layout_.negative_spans.capacity()) *
             sizeof(BucketSpan) +
         layout_.custom_bounds.capacity() * sizeof(double);
}

void HistogramEncoder::begin(ChunkResetHeader header) {
  header_ = header;
  sample_count_ = 0;
  bytes_.assign(kHistogramHeaderBytes, '\0');
  bit_count_ = 8 * kHistogramHeaderBytes;
  write_header();
}

void HistogramEncoder::resume_after(ChunkResetHeader header, Timestamp t,
                                    const AnyHistogram& last) {
  begin(header);
  append(t, last);
  begin(is_gauge() ? ChunkResetHeader::kGauge : ChunkResetHeader::kUnknown);
}

void HistogramEncoder::write_header() {
  bytes_[0] = static_cast<char>(sample_count_ >> 8);
  bytes_[1] = static_cast<char>(sample_count_ & 0xff);
  bytes_[2] = static_cast<char>(static_cast<unsigned>(header_) << 6);
}

bool HistogramEncoder::is_reset(const IntegerHistogram& histogram) const {
  if (histogram.count < static_cast<std::uint64_t>(count_.value) ||
      histogram.zero_count < static_cast<std::uint64_t>(zero_count_.value)) {
    return true;
  }
  const auto side = [&](Spans before, std::size_t first, Spans after, Integers deltas) {
    std::vector<std::int64_t> counts;
    for (std::size_t i = 0; i < bucket_count(before); ++i) {
      counts.push_back(integers_[first + i].value);
    }
    return is_bucket_reset(before, Integers(sums_of(counts)), after, Integers(sums_of(deltas)));
  };
  return side(layout_.positive_spans, 0, histogram.layout.positive_spans,
              histogram.positive_deltas) ||
         side(layout_.negative_spans, bucket_count(layout_.positive_spans),
              histogram.layout.negative_spans, histogram.negative_deltas);
}

bool HistogramEncoder::is_reset(const FloatHistogram& histogram) const {
  if (histogram.count < std::bit_cast<double>(float_count_.bits) ||
      histogram.zero_count < std::bit_cast<double>(float_zero_count_.bits)) {
    return true;
  }
  const auto side = [&](Spans before, std::size_t first, Spans after, Doubles after_counts) {
    std::vector<double> counts;
    for (std::size_t i = 0; i < bucket_count(before); ++i) {
      counts.push_back(std::bit_cast<double>(floats_[first + i].bits));
    }
    return is_bucket_reset(before, Doubles(counts), after, after_counts);
  };
  return side(layout_.positive_spans, 0, histogram.layout.positive_spans,
              histogram.positive_counts) ||
         side(layout_.negative_spans, bucket_count(layout_.positive_spans),
              histogram.layout.negative_spans, histogram.negative_counts);
}

HistogramEncoder::Fit HistogramEncoder::fit(const AnyHistogram& histogram) const {
  const bool gauge = hint_of(histogram) == CounterResetHint::kGauge;
  const auto begins = [&](ChunkResetHeader header) {
    return Fit{false, gauge ? ChunkResetHeader::kGauge : header};
  };
  const Fit goes_on{sample_count_ < kChunkSamplesMax,
                    gauge ? ChunkResetHeader::kGauge : ChunkResetHeader::kNotReset};
  if (hint_of(histogram) == CounterResetHint::kReset) return begins(ChunkResetHeader::kReset);
  if (!has_last_ || gauge != is_gauge()) return begins(ChunkResetHeader::kUnknown);
  if (is_stale_marker(sum_of(histogram))) return goes_on;
  if (is_stale()) return begins(ChunkResetHeader::kUnknown);
  const BucketLayout& layout = layout_of(histogram);
  // Prometheus looks at the count before the schema, at everything else after.
  if (!gauge && encoding_ == ChunkEncoding::kHistogram &&
      std::get<IntegerHistogram>(histogram).count < static_cast<std::uint64_t>(count_.value)) {
    return begins(ChunkResetHeader::kReset);
  }
  if (!gauge && encoding_ == ChunkEncoding::kFloatHistogram &&
      std::get<FloatHistogram>(histogram).count < std::bit_cast<double>(float_count_.bits)) {
    return begins(ChunkResetHeader::kReset);
  }
  if (layout.schema != layout_.schema || layout.zero_threshold != layout_.zero_threshold) {
    return begins(ChunkResetHeader::kUnknown);
  }
  if (layout.custom_bounds != layout_.custom_bounds) return begins(ChunkResetHeader::kReset);
  if (gauge) return goes_on;
  const bool reset = std::visit([&](const auto& one) { return is_reset(one); }, histogram);
  return reset ? begins(ChunkResetHeader::kReset) : goes_on;
}

void HistogramEncoder::append(Timestamp t, AnyHistogram histogram) {
  DCHECK(takes(histogram));
  if (is_stale_marker(sum_of(histogram))) {
    const AnyHistogram stale = only_sum(histogram);
    sample_count_ == 0 ? append_first(t, stale) : append_later(t, stale);
    return;
  }
  if (sample_count_ == 0) return append_first(t, histogram);
  const BucketLayout& layout = layout_of(histogram);
  if (layout.positive_spans != layout_.positive_spans ||
      layout.negative_spans != layout_.negative_spans) {
    widen(layout);
    std::visit([&](auto& one) { spread(one, layout_); }, histogram);
  }
  append_later(t, histogram);
}

/// Encodes the whole chunk again with the buckets of both.
void HistogramEncoder::widen(const BucketLayout& wanted) {
  BucketLayout united = layout_;
  united.positive_spans = unite(layout_.positive_spans, wanted.positive_spans);
  united.negative_spans = unite(layout_.negative_spans, wanted.negative_spans);
  if (has_same_buckets(united.positive_spans, layout_.positive_spans) &&
      has_same_buckets(united.negative_spans, layout_.negative_spans)) {
    return;
  }
  const std::string old = std::move(bytes_);
  begin(header_);
  HistogramIterator it(encoding_, as_bytes(old));
  while (it.next()) {
    AnyHistogram one = it.histogram();
    std::visit([&](auto& histogram) { spread(histogram, united); }, one);
    sample_count_ == 0 ? append_first(it.t(), one) : append_later(it.t(), one);
  }
  CHECK(it.status().ok(), it.status().message());
}

void HistogramEncoder::append_first(Timestamp t, const AnyHistogram& histogram) {
  has_last_ = true;
  layout_ = layout_of(histogram);
  t_ = t.ms;
  t_delta_ = 0;
  sum_ = {.bits = bits_of(sum_of(histogram))};
  BitWriter out(bytes_, bit_count_);
  encode_layout(layout_, out);
  out.put_varbit_int(t.ms);
  integers_.clear();
  floats_.clear();
  if (const auto* integers = std::get_if<IntegerHistogram>(&histogram)) {
    count_ = {.value = static_cast<std::int64_t>(integers->count)};
    zero_count_ = {.value = static_cast<std::int64_t>(integers->zero_count)};
    out.put_varbit_uint(integers->count);
    out.put_varbit_uint(integers->zero_count);
    out.put(sum_.bits, 64);
    integers_.reserve(integers->positive_deltas.size() + integers->negative_deltas.size());
    for (const auto* side : {&integers->positive_deltas, &integers->negative_deltas}) {
      for (const std::int64_t delta : *side) {
        out.put_varbit_int(delta);
        integers_.push_back({.value = delta});
      }
    }
  } else {
    const auto& floats = std::get<FloatHistogram>(histogram);
    float_count_ = {.bits = bits_of(floats.count)};
    float_zero_count_ = {.bits = bits_of(floats.zero_count)};
    out.put(float_count_.bits, 64);
    out.put(float_zero_count_.bits, 64);
    out.put(sum_.bits, 64);
    floats_.reserve(floats.positive_counts.size() + floats.negative_counts.size());
    for (const auto* side : {&floats.positive_counts, &floats.negative_counts}) {
      for (const double count : *side) {
        out.put(bits_of(count), 64);
        floats_.push_back({.bits = bits_of(count)});
      }
    }
  }
  bit_count_ = out.bit_count();
  ++sample_count_;
  write_header();
}

void HistogramEncoder::append_later(Timestamp t, const AnyHistogram& histogram) {
  DCHECK(t.ms > t_ && sample_count_ < kChunkSamplesMax);
  BitWriter out(bytes_, bit_count_);
  const std::int64_t t_delta = wrapping_subtract(t.ms, t_);
  out.put_varbit_int(wrapping_subtract(t_delta, t_delta_));
  t_ = t.ms;
  t_delta_ = t_delta;
  const std::uint64_t sum_bits = bits_of(sum_of(histogram));
  if (const auto* integers = std::get_if<IntegerHistogram>(&histogram)) {
    if (integers->is_stale()) {
      // Nothing but more of them can follow: what the counts change by does not matter.
      out.put_varbit_int(0);
      out.put_varbit_int(0);
      out.put_xor(sum_bits, sum_);
    } else {
      count_.put(out, static_cast<std::int64_t>(integers->count));
      zero_count_.put(out, static_cast<std::int64_t>(integers->zero_count));
      out.put_xor(sum_bits, sum_);
      std::size_t i = 0;
      for (const auto* side : {&integers->positive_deltas, &integers->negative_deltas}) {
        for (const std::int64_t delta : *side) integers_[i++].put(out, delta);
      }
    }
  } else {
    const auto& floats = std::get<FloatHistogram>(histogram);
    out.put_xor(bits_of(floats.count), float_count_);
    out.put_xor(bits_of(floats.zero_count), float_zero_count_);
    out.put_xor(sum_bits, sum_);
    std::size_t i = 0;
    for (const auto* side : {&floats.positive_counts, &floats.negative_counts}) {
      for (const double count : *side) out.put_xor(bits_of(count), floats_[i++]);
    }
  }
  bit_count_ = out.bit_count();
  ++sample_count_;
  write_header();
}

}  // namespace tarsier::tsdb
