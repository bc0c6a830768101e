#include "tsdb/wal/record.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kVarintBytesMax = 10;
constexpr std::size_t kSampleBytesMax = 2 * kVarintBytesMax + 8;
constexpr std::string_view kUnitField = "UNIT";
constexpr std::string_view kHelpField = "HELP";

// Differences wrap like the integers they are stored for: any two have one.
constexpr std::int64_t difference(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::int64_t>(a - b);
}
constexpr std::int64_t difference(Timestamp a, Timestamp b) {
  return difference(static_cast<std::uint64_t>(a.ms), static_cast<std::uint64_t>(b.ms));
}
constexpr SeriesRef moved(SeriesRef base, std::int64_t by) {
  return {base.value + static_cast<std::uint64_t>(by)};
}
constexpr Timestamp moved(Timestamp base, std::int64_t by) {
  return {static_cast<std::int64_t>(static_cast<std::uint64_t>(base.ms) +
                                    static_cast<std::uint64_t>(by))};
}

char* write_varint(char* p, std::int64_t value) {
  std::uint64_t v = zigzag(value);
  while (v >= 0x80) {
    *p++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *p++ = static_cast<char>(v);
  return p;
}

/// Reads a varint off memory known to hold kVarintBytesMax more bytes. False if it is longer than
/// 64 bits.
inline bool read_varint(const std::byte*& p, std::int64_t& value) {
  auto byte = static_cast<std::uint64_t>(*p++);
  std::uint64_t v = byte & 0x7f;
  for (unsigned shift = 7; byte >= 0x80; shift += 7) {
    if (shift > 63) return false;
    byte = static_cast<std::uint64_t>(*p++);
    if (shift == 63 && byte > 1) return false;
    v |= (byte & 0x7f) << shift;
  }
  value = unzigzag(v);
  return true;
}

void put_labels(const Labels& labels, std::string& out) {
  put_uvarint(out, labels.count());
  out += labels.encoded();  // The same bytes, by design of Labels.
}

/// `scratch` is reused from set to set.
Labels read_labels(ByteReader& reader, std::vector<LabelView>& scratch) {
  scratch.clear();
  std::uint64_t count = reader.uvarint();
  for (; count > 0 && reader.ok(); --count) {
    LabelView label;
    label.name = reader.string();
    label.value = reader.string();
    if (reader.ok()) scratch.push_back(label);
  }
  bool is_canonical = true;
  for (std::size_t i = 0; i < scratch.size(); ++i) {
    is_canonical &= !scratch[i].value.empty() && (i == 0 || scratch[i - 1].name < scratch[i].name);
  }
  return is_canonical ? Labels::from_sorted(scratch) : Labels::from_views(scratch);
}

Status bad_record(RecordType type, const ByteReader& reader) {
  return corruption(fmt::format("record of type {}: bad field at byte {}", static_cast<int>(type),
                                reader.offset()));
}

/// Positions `reader` behind the type byte. REQUIRES: the record has this type.
void begin(ByteReader& reader, RecordType type) {
  const auto actual = static_cast<RecordType>(reader.u8());
  CHECK(actual == type, fmt::format("type {}", static_cast<int>(actual)));
}

Status decode_samples_v2(Bytes record, std::vector<RefSample>& out) {
  enum Marker : std::uint8_t { kNoStart = 0, kSameStart = 1, kExplicitStart = 2 };
  ByteReader reader(record);
  begin(reader, RecordType::kSamplesV2);
  if (reader.empty()) return {};
  RefSample first;
  first.ref.value = static_cast<std::uint64_t>(reader.varint());
  first.t.ms = reader.varint();
  reader.varint();  // Start timestamp.
  first.v = reader.f64();
  if (reader.ok()) out.push_back(first);
  while (!reader.empty() && reader.ok()) {
    RefSample sample;
    sample.ref = moved(out.back().ref, reader.varint());
    sample.t = moved(first.t, reader.varint());
    const std::uint8_t marker = reader.u8();
    if (marker == kExplicitStart) reader.varint();
    sample.v = reader.f64();
    if (reader.ok()) out.push_back(sample);
  }
  return reader.ok() ? Status() : bad_record(RecordType::kSamplesV2, reader);
}

}  // namespace

RecordType record_type(Bytes record) {
  return record.empty() ? RecordType::kUnknown : static_cast<RecordType>(record[0]);
}

bool is_decoded(RecordType type) {
  switch (type) {
    case RecordType::kSeries:
    case RecordType::kSamples:
    case RecordType::kTombstones:
    case RecordType::kExemplars:
    case RecordType::kMetadata:
    case RecordType::kSamplesV2: return true;
    default: return false;
  }
}

void encode_series(std::span<const RefSeries> series, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(RecordType::kSeries));
  for (const RefSeries& one : series) {
    put_be64(out, one.ref.value);
    put_labels(one.labels, out);
  }
}

void encode_samples(std::span<const RefSample> samples, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(RecordType::kSamples));
  if (samples.empty()) return;
  const RefSample first = samples.front();
  put_be64(out, first.ref.value);
  put_be64(out, static_cast<std::uint64_t>(first.t.ms));
  // Through a small buffer that stays in the cache: no growing, no zeroing, no check per byte.
  constexpr std::size_t batch_count = 64;
  char buffer[batch_count * kSampleBytesMax];
  while (!samples.empty()) {
    const auto batch = samples.first(std::min(samples.size(), batch_count));
    char* p = buffer;
    for (const RefSample& sample : batch) {
      p = write_varint(p, difference(sample.ref.value, first.ref.value));
      p = write_varint(p, difference(sample.t, first.t));
      const std::uint64_t bits = __builtin_bswap64(std::bit_cast<std::uint64_t>(sample.v));
      std::memcpy(p, &bits, sizeof bits);
      p += sizeof bits;
    }
    out.append(buffer, static_cast<std::size_t>(p - buffer));
    samples = samples.subspan(batch.size());
  }
}

void encode_tombstones(std::span<const RefTombstone> tombstones, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(RecordType::kTombstones));
  for (const RefTombstone& tombstone : tombstones) {
    put_be64(out, tombstone.ref.value);
    put_varint(out, tombstone.min.ms);
    put_varint(out, tombstone.max.ms);
  }
}

void encode_exemplars(std::span<const RefExemplar> exemplars, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(RecordType::kExemplars));
  if (exemplars.empty()) return;
  const RefExemplar& first = exemplars.front();
  put_be64(out, first.ref.value);
  put_be64(out, static_cast<std::uint64_t>(first.t.ms));
  for (const RefExemplar& exemplar : exemplars) {
    put_varint(out, difference(exemplar.ref.value, first.ref.value));
    put_varint(out, difference(exemplar.t, first.t));
    put_f64(out, exemplar.v);
    put_labels(exemplar.labels, out);
  }
}

void encode_metadata(std::span<const RefMetadata> metadata, std::string& out) {
  put_u8(out, static_cast<std::uint8_t>(RecordType::kMetadata));
  for (const RefMetadata& one : metadata) {
    put_uvarint(out, one.ref.value);
    put_u8(out, static_cast<std::uint8_t>(one.metadata.type));
    put_uvarint(out, 2);
    put_string(out, kUnitField);
    put_string(out, one.metadata.unit);
    put_string(out, kHelpField);
    put_string(out, one.metadata.help);
  }
}

Status decode_series(Bytes record, std::vector<RefSeries>& out) {
  out.clear();
  ByteReader reader(record);
  begin(reader, RecordType::kSeries);
  std::vector<LabelView> scratch;
  while (!reader.empty() && reader.ok()) {
    RefSeries series;
    series.ref.value = reader.be64();
    series.labels = read_labels(reader, scratch);
    if (reader.ok()) out.push_back(std::move(series));
  }
  return reader.ok() ? Status() : bad_record(RecordType::kSeries, reader);
}

Status decode_samples(Bytes record, std::vector<RefSample>& out) {
  out.clear();
  if (record_type(record) == RecordType::kSamplesV2) return decode_samples_v2(record, out);
  ByteReader header(record);
  begin(header, RecordType::kSamples);
  if (header.empty()) return {};
  const SeriesRef base_ref{header.be64()};
  const Timestamp base_t{static_cast<std::int64_t>(header.be64())};
  if (!header.ok()) return bad_record(RecordType::kSamples, header);

  const std::byte* p = record.data() + header.offset();
  const std::byte* const end = record.data() + record.size();
  std::int64_t ref_delta = 0;
  std::int64_t t_delta = 0;
  while (static_cast<std::size_t>(end - p) >= kSampleBytesMax) {
    const std::byte* const begin_of_sample = p;
    if (!read_varint(p, ref_delta) || !read_varint(p, t_delta)) [[unlikely]] {
      p = begin_of_sample;
      break;  // The careful loop below reports it.
    }
    out.push_back({moved(base_ref, ref_delta), moved(base_t, t_delta),
                   std::bit_cast<double>(load_be<std::uint64_t>(p))});
    p += 8;
  }
  ByteReader reader(record);
  reader.take(static_cast<std::uint64_t>(p - record.data()));
  while (!reader.empty() && reader.ok()) {
    RefSample sample;
    sample.ref = moved(base_ref, reader.varint());
    sample.t = moved(base_t, reader.varint());
    sample.v = reader.f64();
    if (reader.ok()) out.push_back(sample);
  }
  return reader.ok() ? Status() : bad_record(RecordType::kSamples, reader);
}

Status decode_tombstones(Bytes record, std::vector<RefTombstone>& out) {
  out.clear();
  ByteReader reader(record);
  begin(reader, RecordType::kTombstones);
  while (!reader.empty() && reader.ok()) {
    RefTombstone tombstone;
    tombstone.ref.value = reader.be64();
    tombstone.min.ms = reader.varint();
    tombstone.max.ms = reader.varint();
    if (reader.ok()) out.push_back(tombstone);
  }
  return reader.ok() ? Status() : bad_record(RecordType::kTombstones, reader);
}

Status decode_exemplars(Bytes record, std::vector<RefExemplar>& out) {
  out.clear();
  ByteReader reader(record);
  begin(reader, RecordType::kExemplars);
  if (reader.empty()) return {};
  const SeriesRef base_ref{reader.be64()};
  const Timestamp base_t{static_cast<std::int64_t>(reader.be64())};
  std::vector<LabelView> scratch;
  while (!reader.empty() && reader.ok()) {
    RefExemplar exemplar;
    exemplar.ref = moved(base_ref, reader.varint());
    exemplar.t = moved(base_t, reader.varint());
    exemplar.v = reader.f64();
    exemplar.labels = read_labels(reader, scratch);
    if (reader.ok()) out.push_back(std::move(exemplar));
  }
  return reader.ok() ? Status() : bad_record(RecordType::kExemplars, reader);
}

Status decode_metadata(Bytes record, std::vector<RefMetadata>& out) {
  out.clear();
  ByteReader reader(record);
  begin(reader, RecordType::kMetadata);
  while (!reader.empty() && reader.ok()) {
    RefMetadata one;
    one.ref.value = reader.uvarint();
    const std::uint8_t type = reader.u8();
    const bool is_known = type <= static_cast<std::uint8_t>(MetricType::kStateset);
    one.metadata.type = is_known ? static_cast<MetricType>(type) : MetricType::kUnknown;
    for (std::uint64_t fields = reader.uvarint(); fields > 0 && reader.ok(); --fields) {
      const std::string_view name = reader.string();
      const std::string_view value = reader.string();
      if (name == kUnitField) one.metadata.unit = value;
      if (name == kHelpField) one.metadata.help = value;
    }
    if (reader.ok()) out.push_back(std::move(one));
  }
  return reader.ok() ? Status() : bad_record(RecordType::kMetadata, reader);
}

namespace {

void skip_spans(ByteReader& reader) {
  for (std::uint64_t count = reader.uvarint(); count > 0 && reader.ok(); --count) {
    reader.varint();   // Offset.
    reader.uvarint();  // Length.
  }
}

void skip_buckets(ByteReader& reader, bool is_float) {
  for (std::uint64_t count = reader.uvarint(); count > 0 && reader.ok(); --count) {
    is_float ? static_cast<void>(reader.be64()) : static_cast<void>(reader.varint());
  }
}

void skip_histogram(ByteReader& reader, bool is_float) {
  constexpr std::int64_t custom_bounds_schema = -53;
  reader.u8();  // Reset hint.
  const std::int64_t schema = reader.varint();
  reader.be64();                             // Zero threshold.
  for (int field = 0; field < 2; ++field) {  // Zero count, count.
    is_float ? static_cast<void>(reader.be64()) : static_cast<void>(reader.uvarint());
  }
  reader.be64();  // Sum.
  skip_spans(reader);
  skip_spans(reader);
  skip_buckets(reader, is_float);
  skip_buckets(reader, is_float);
  if (schema == custom_bounds_schema) skip_buckets(reader, true);
}

/// The time of the next histogram of type 12 or 13.
Timestamp read_v2_time(ByteReader& reader, std::optional<Timestamp>& first) {
  reader.varint();  // Reference.
  const std::int64_t value = reader.varint();
  if (!first) {
    reader.varint();  // Start timestamp.
    first = Timestamp{value};
    return *first;
  }
  constexpr std::uint8_t explicit_start = 2;
  if (reader.u8() == explicit_start) reader.varint();
  return moved(*first, value);
}

}  // namespace

Result<std::optional<Timestamp>> newest_histogram_time(Bytes record) {
  const RecordType type = record_type(record);
  const bool is_v2 = type == RecordType::kHistogramsV2 || type == RecordType::kFloatHistogramsV2;
  const bool is_float = type == RecordType::kFloatHistograms ||
                        type == RecordType::kCustomFloatHistograms ||
                        type == RecordType::kFloatHistogramsV2;
  ByteReader reader(record);
  reader.u8();
  std::optional<Timestamp> newest;
  if (reader.empty()) return newest;
  std::optional<Timestamp> first;
  if (!is_v2) {
    reader.be64();  // Reference.
    first = Timestamp{static_cast<std::int64_t>(reader.be64())};
  }
  while (!reader.empty() && reader.ok()) {
    Timestamp t;
    if (is_v2) {
      t = read_v2_time(reader, first);
    } else {
      reader.varint();  // Reference.
      t = moved(*first, reader.varint());
    }
    skip_histogram(reader, is_float);
    if (reader.ok() && (!newest || *newest < t)) newest = t;
  }
  if (!reader.ok()) return bad_record(type, reader);
  return newest;
}

}  // namespace tarsier::tsdb
