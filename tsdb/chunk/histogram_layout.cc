#include "tsdb/chunk/histogram_layout.h"

#include <bit>
#include <cmath>

namespace tarsier::tsdb {
namespace {

// A zero threshold that is a power of two within these exponents is one byte.
constexpr int kThresholdExponentMin = -243;
constexpr int kThresholdExponentMax = 10;
constexpr unsigned kThresholdRaw = 255;

// Bounds that are whole thousandths, up to here, are integers.
constexpr double kThousandthsMax = 33554430;

void put_threshold(double threshold, BitWriter& out) {
  if (threshold == 0) return out.put(0, 8);
  int exponent = 0;
  const double fraction = std::frexp(threshold, &exponent);
  // 2^(exponent - 1); codes are 1 for 2^-243 to 254 for 2^10.
  const int power = exponent - 1;
  if (fraction == 0.5 && power >= kThresholdExponentMin && power <= kThresholdExponentMax) {
    return out.put(static_cast<std::uint64_t>(power - kThresholdExponentMin + 1), 8);
  }
  out.put(kThresholdRaw, 8);
  out.put(std::bit_cast<std::uint64_t>(threshold), 64);
}

double read_threshold(BitReader& in) {
  const auto code = static_cast<unsigned>(in.bits(8));
  if (code == 0) return 0;
  if (code == kThresholdRaw) return std::bit_cast<double>(in.bits(64));
  return std::ldexp(0.5, static_cast<int>(code) + kThresholdExponentMin);
}

void put_spans(std::span<const BucketSpan> spans, BitWriter& out) {
  out.put_varbit_uint(spans.size());
  for (const BucketSpan& span : spans) {
    out.put_varbit_uint(span.length);
    out.put_varbit_int(span.offset);
  }
}

bool read_spans(BitReader& in, std::vector<BucketSpan>& spans) {
  spans.clear();
  const std::uint64_t count = in.varbit_uint();
  // A span takes two bits at least, and each of its buckets one in the first sample.
  if (count > in.remaining_bits() / 2) return false;
  std::uint64_t buckets = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t length = in.varbit_uint();
    const std::int64_t offset = in.varbit_int();
    if (length > in.remaining_bits()) return false;
    if (offset < INT32_MIN || offset > INT32_MAX || (i > 0 && offset < 0)) return false;
    buckets += length;
    spans.push_back({static_cast<std::int32_t>(offset), static_cast<std::uint32_t>(length)});
  }
  return in.ok() && buckets <= in.remaining_bits();
}

void put_bound(double bound, BitWriter& out) {
  const double thousandths = bound * 1000;
  const bool is_whole =
      thousandths >= 0 && thousandths <= kThousandthsMax && std::round(thousandths) / 1000 == bound;
  if (is_whole) {
    return out.put_varbit_uint(static_cast<std::uint64_t>(std::round(thousandths)) + 1);
  }
  out.put(0, 1);
  out.put(std::bit_cast<std::uint64_t>(bound), 64);
}

bool read_bounds(BitReader& in, std::vector<double>& bounds) {
  bounds.clear();
  const std::uint64_t count = in.varbit_uint();
  if (count > in.remaining_bits()) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t code = in.varbit_uint();
    bounds.push_back(code == 0 ? std::bit_cast<double>(in.bits(64))
                               : static_cast<double>(code - 1) / 1000);
  }
  return in.ok();
}

}  // namespace

void encode_layout(const BucketLayout& layout, BitWriter& out) {
  put_threshold(layout.zero_threshold, out);
  out.put_varbit_int(layout.schema);
  put_spans(layout.positive_spans, out);
  put_spans(layout.negative_spans, out);
  if (!layout.is_custom()) return;
  out.put_varbit_uint(layout.custom_bounds.size());
  for (const double bound : layout.custom_bounds) put_bound(bound, out);
}

bool decode_layout(BitReader& in, BucketLayout& layout) {
  constexpr std::int64_t reserved_schema_max = 52;
  layout.custom_bounds.clear();
  layout.zero_threshold = read_threshold(in);
  const std::int64_t schema = in.varbit_int();
  const bool is_schema = schema == kCustomBucketsSchema ||
                         (schema >= kExponentialSchemaMin && schema <= reserved_schema_max);
  layout.schema = static_cast<std::int32_t>(schema);
  if (!is_schema || !read_spans(in, layout.positive_spans) ||
      !read_spans(in, layout.negative_spans) ||
      (layout.is_custom() && !read_bounds(in, layout.custom_bounds)) || !in.ok()) {
    in.fail();
    return false;
  }
  return true;
}

std::vector<BucketSpan> unite_spans(std::span<const BucketSpan> a, std::span<const BucketSpan> b) {
  std::vector<BucketSpan> united;
  BucketIndexes in_a(a);
  BucketIndexes in_b(b);
  std::int64_t end = 0;
  while (!in_a.done() || !in_b.done()) {
    const bool has_a = !in_a.done() && (in_b.done() || in_a.index() <= in_b.index());
    const bool has_b = !in_b.done() && (in_a.done() || in_b.index() <= in_a.index());
    const std::int64_t index = has_a ? in_a.index() : in_b.index();
    if (has_a) in_a.next();
    if (has_b) in_b.next();
    if (!united.empty() && index == end) {
      ++united.back().length;
    } else {
      united.push_back({static_cast<std::int32_t>(index - end), 1});
    }
    end = index + 1;
  }
  return united;
}

bool has_same_buckets(std::span<const BucketSpan> a, std::span<const BucketSpan> b) {
  BucketIndexes in_a(a);
  BucketIndexes in_b(b);
  while (!in_a.done() && !in_b.done()) {
    if (in_a.index() != in_b.index()) return false;
    in_a.next();
    in_b.next();
  }
  return in_a.done() && in_b.done();
}

}  // namespace tarsier::tsdb
