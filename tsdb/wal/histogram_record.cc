#include "tsdb/wal/histogram_record.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t difference(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::int64_t>(a - b);
}
constexpr std::int64_t moved(std::int64_t base, std::int64_t by) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(base) +
                                   static_cast<std::uint64_t>(by));
}

void put_spans(std::span<const BucketSpan> spans, std::string& out) {
  put_uvarint(out, spans.size());
  for (const BucketSpan& span : spans) {
    put_varint(out, span.offset);
    put_uvarint(out, span.length);
  }
}

void put_doubles(std::span<const double> values, std::string& out) {
  put_uvarint(out, values.size());
  for (const double value : values) put_f64(out, value);
}

void put_front(const BucketLayout& layout, CounterResetHint hint, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(hint));
  put_varint(out, layout.schema);
  put_f64(out, layout.zero_threshold);
}

void put_histogram(const IntegerHistogram& h, std::string& out) {
  put_front(h.layout, h.hint, out);
  put_uvarint(out, h.zero_count);
  put_uvarint(out, h.count);
  put_f64(out, h.sum);
  put_spans(h.layout.positive_spans, out);
  put_spans(h.layout.negative_spans, out);
  for (const auto* side : {&h.positive_deltas, &h.negative_deltas}) {
    put_uvarint(out, side->size());
    for (const std::int64_t delta : *side) put_varint(out, delta);
  }
  if (h.layout.is_custom()) put_doubles(h.layout.custom_bounds, out);
}

void put_histogram(const FloatHistogram& h, std::string& out) {
  put_front(h.layout, h.hint, out);
  put_f64(out, h.zero_count);
  put_f64(out, h.count);
  put_f64(out, h.sum);
  put_spans(h.layout.positive_spans, out);
  put_spans(h.layout.negative_spans, out);
  put_doubles(h.positive_counts, out);
  put_doubles(h.negative_counts, out);
  if (h.layout.is_custom()) put_doubles(h.layout.custom_bounds, out);
}

/// A count of things of at least `bytes_each`; what cannot be there is not believed.
std::optional<std::size_t> read_count(ByteReader& reader, std::size_t bytes_each) {
  const std::uint64_t count = reader.uvarint();
  if (!reader.ok() || count > reader.remaining() / bytes_each) return std::nullopt;
  return static_cast<std::size_t>(count);
}

bool read_spans(ByteReader& reader, std::vector<BucketSpan>& spans) {
  const auto count = read_count(reader, 2);
  if (!count) return false;
  spans.reserve(*count);
  for (std::size_t i = 0; i < *count; ++i) {
    const std::int64_t offset = reader.varint();
    const std::uint64_t length = reader.uvarint();
    if (offset < INT32_MIN || offset > INT32_MAX || length > UINT32_MAX) return false;
    spans.push_back({static_cast<std::int32_t>(offset), static_cast<std::uint32_t>(length)});
  }
  return reader.ok();
}

bool read_doubles(ByteReader& reader, std::vector<double>& values) {
  const auto count = read_count(reader, sizeof(double));
  if (!count) return false;
  values.reserve(*count);
  for (std::size_t i = 0; i < *count; ++i) values.push_back(reader.f64());
  return reader.ok();
}

bool read_deltas(ByteReader& reader, std::vector<std::int64_t>& deltas) {
  const auto count = read_count(reader, 1);
  if (!count) return false;
  deltas.reserve(*count);
  for (std::size_t i = 0; i < *count; ++i) deltas.push_back(reader.varint());
  return reader.ok();
}

template <typename Histogram>
bool read_front(ByteReader& reader, Histogram& h) {
  const std::uint8_t hint = reader.u8();
  h.hint = hint <= static_cast<std::uint8_t>(CounterResetHint::kGauge)
               ? static_cast<CounterResetHint>(hint)
               : CounterResetHint::kUnknown;
  const std::int64_t schema = reader.varint();
  if (schema < INT32_MIN || schema > INT32_MAX) return false;
  h.layout.schema = static_cast<std::int32_t>(schema);
  h.layout.zero_threshold = reader.f64();
  return true;
}

bool read_histogram(ByteReader& reader, IntegerHistogram& h) {
  if (!read_front(reader, h)) return false;
  h.zero_count = reader.uvarint();
  h.count = reader.uvarint();
  h.sum = reader.f64();
  return read_spans(reader, h.layout.positive_spans) &&
         read_spans(reader, h.layout.negative_spans) && read_deltas(reader, h.positive_deltas) &&
         read_deltas(reader, h.negative_deltas) &&
         (!h.layout.is_custom() || read_doubles(reader, h.layout.custom_bounds));
}

bool read_histogram(ByteReader& reader, FloatHistogram& h) {
  if (!read_front(reader, h)) return false;
  h.zero_count = reader.f64();
  h.count = reader.f64();
  h.sum = reader.f64();
  return read_spans(reader, h.layout.positive_spans) &&
         read_spans(reader, h.layout.negative_spans) && read_doubles(reader, h.positive_counts) &&
         read_doubles(reader, h.negative_counts) &&
         (!h.layout.is_custom() || read_doubles(reader, h.layout.custom_bounds));
}

/// Series and time of one entry after the other, in the older and the newer way.
class Heads final {
 public:
  Heads(ByteReader& reader, bool is_v2) : reader_(reader), is_v2_(is_v2) {
    if (is_v2_ || reader.empty()) return;
    ref_ = reader.be64();
    t_ = static_cast<std::int64_t>(reader.be64());
  }

  void next(RefHistogram& out) {
    if (is_v2_) return next_v2(out);
    out.ref.value = ref_ + static_cast<std::uint64_t>(reader_.varint());
    out.t.ms = moved(t_, reader_.varint());
  }

 private:
  void next_v2(RefHistogram& out) {
    constexpr std::uint8_t explicit_start = 2;
    const std::int64_t ref = reader_.varint();
    const std::int64_t t = reader_.varint();
    if (std::exchange(is_first_, false)) {
      reader_.varint();  // Start timestamp.
      ref_ = static_cast<std::uint64_t>(ref);
      t_ = t;
      out.t.ms = t;
    } else {
      ref_ += static_cast<std::uint64_t>(ref);  // Against the entry before.
      out.t.ms = moved(t_, t);                  // Against the first.
      if (reader_.u8() == explicit_start) reader_.varint();
    }
    out.ref.value = ref_;
  }

  ByteReader& reader_;
  const bool is_v2_;
  bool is_first_ = true;
  std::uint64_t ref_ = 0;
  std::int64_t t_ = 0;
};

bool is_v2(RecordType type) {
  return type == RecordType::kHistogramsV2 || type == RecordType::kFloatHistogramsV2;
}
bool is_float(RecordType type) {
  return type == RecordType::kFloatHistograms || type == RecordType::kCustomFloatHistograms ||
         type == RecordType::kFloatHistogramsV2;
}

}  // namespace

bool is_histogram_record(RecordType type) {
  return is_v2(type) || is_float(type) || type == RecordType::kHistograms ||
         type == RecordType::kCustomHistograms;
}

RecordType record_type_of(const AnyHistogram& histogram) {
  const bool is_custom = layout_of(histogram).is_custom();
  if (histogram.index() == 0) {
    return is_custom ? RecordType::kCustomHistograms : RecordType::kHistograms;
  }
  return is_custom ? RecordType::kCustomFloatHistograms : RecordType::kFloatHistograms;
}

void encode_histograms(std::span<const RefHistogram> histograms, RecordType type,
                       std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(type));
  const RefHistogram* first = nullptr;
  for (const RefHistogram& one : histograms) {
    if (record_type_of(one.histogram) != type) continue;
    if (first == nullptr) {
      first = &one;
      put_be64(out, one.ref.value);
      put_be64(out, static_cast<std::uint64_t>(one.t.ms));
    }
    put_varint(out, difference(one.ref.value, first->ref.value));
    put_varint(out, difference(static_cast<std::uint64_t>(one.t.ms),
                               static_cast<std::uint64_t>(first->t.ms)));
    std::visit([&](const auto& histogram) { put_histogram(histogram, out); }, one.histogram);
  }
  CHECK(first != nullptr);
}

Status decode_histograms(Bytes record, std::vector<RefHistogram>& out) {
  out.clear();
  const RecordType type = record_type(record);
  CHECK(is_histogram_record(type), fmt::format("type {}", static_cast<int>(type)));
  ByteReader reader(record);
  reader.u8();
  Heads heads(reader, is_v2(type));
  while (!reader.empty() && reader.ok()) {
    RefHistogram one;
    heads.next(one);
    if (is_float(type)) one.histogram = FloatHistogram();
    const bool is_good = std::visit(
        [&](auto& histogram) { return read_histogram(reader, histogram); }, one.histogram);
    if (!is_good || !reader.ok()) {
      return corruption(fmt::format("record of type {}: bad field at byte {}",
                                    static_cast<int>(type), reader.offset()));
    }
    out.push_back(std::move(one));
  }
  return reader.ok() ? Status()
                     : corruption(fmt::format("record of type {}: bad field at byte {}",
                                              static_cast<int>(type), reader.offset()));
}

}  // namespace tarsier::tsdb
