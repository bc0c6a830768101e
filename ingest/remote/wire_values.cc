#include "ingest/remote/wire_values.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "ingest/histogram_wire.h"
#include "ingest/remote/wire_labels.h"

namespace tarsier::ingest {
namespace {

/// Everything a Histogram message may say; which counts are meant is told by which are there.
struct Parts {
  tsdb::BucketLayout layout;
  std::uint64_t count_int = 0;
  double count_float = 0;
  bool is_float = false;
  std::uint64_t zero_int = 0;
  double zero_float = 0;
  double sum = 0;
  std::uint64_t hint = 0;
  std::int64_t t = 0;
  std::int64_t start = 0;
  std::vector<std::int64_t> positive_deltas;
  std::vector<std::int64_t> negative_deltas;
  std::vector<double> positive_counts;
  std::vector<double> negative_counts;
};

bool read_field(const ProtobufReader& field, Parts& out) {
  const bool is_varint = field.type() == ProtobufReader::kVarint;
  const bool is_real = field.type() == ProtobufReader::kFixed64;
  const bool is_bytes = field.type() == ProtobufReader::kBytes;
  switch (field.field()) {
    case 1:
      out.count_int = field.number();
      out.is_float = false;
      return is_varint;
    case 2:
      out.count_float = field.real();
      out.is_float = true;
      return is_real;
    case 3: out.sum = field.real(); return is_real;
    case 4:
      out.layout.schema = static_cast<std::int32_t>(unzigzag(field.number()));
      return is_varint;
    case 5: out.layout.zero_threshold = field.real(); return is_real;
    case 6: out.zero_int = field.number(); return is_varint;
    case 7: out.zero_float = field.real(); return is_real;
    case 8: return is_bytes && read_bucket_span(field.bytes(), out.layout.negative_spans);
    case 9: return read_bucket_deltas(field, out.negative_deltas);
    case 10: return read_bucket_reals(field, out.negative_counts);
    case 11: return is_bytes && read_bucket_span(field.bytes(), out.layout.positive_spans);
    case 12: return read_bucket_deltas(field, out.positive_deltas);
    case 13: return read_bucket_reals(field, out.positive_counts);
    case 14: out.hint = field.number(); return is_varint;
    case 15: out.t = static_cast<std::int64_t>(field.number()); return is_varint;
    case 16: return read_bucket_reals(field, out.layout.custom_bounds);
    case 17: out.start = static_cast<std::int64_t>(field.number()); return is_varint;
    default: return true;
  }
}

tsdb::CounterResetHint hint_of(std::uint64_t wire) {
  return wire <= 3 ? static_cast<tsdb::CounterResetHint>(wire) : tsdb::CounterResetHint::kUnknown;
}

}  // namespace

Result<WireHistogram> read_wire_histogram(std::string_view message) {
  Parts parts;
  ProtobufReader fields(message);
  while (fields.next()) {
    if (!read_field(fields, parts)) return corruption("protobuf: damaged Histogram");
  }
  if (!fields.ok()) return corruption("protobuf: damaged Histogram");
  WireHistogram out;
  out.t = Timestamp{parts.t};
  out.start = Timestamp{parts.start};
  if (parts.is_float) {
    tsdb::FloatHistogram h;
    h.layout = std::move(parts.layout);
    h.hint = hint_of(parts.hint);
    h.count = parts.count_float;
    h.zero_count = parts.zero_float;
    h.sum = parts.sum;
    h.positive_counts = std::move(parts.positive_counts);
    h.negative_counts = std::move(parts.negative_counts);
    TRY(tsdb::validate(h));
    out.histogram = std::move(h);
  } else {
    tsdb::IntegerHistogram h;
    h.layout = std::move(parts.layout);
    h.hint = hint_of(parts.hint);
    h.count = parts.count_int;
    h.zero_count = parts.zero_int;
    h.sum = parts.sum;
    h.positive_deltas = std::move(parts.positive_deltas);
    h.negative_deltas = std::move(parts.negative_deltas);
    TRY(tsdb::validate(h));
    out.histogram = std::move(h);
  }
  return out;
}

Result<tsdb::Exemplar> read_wire_exemplar(std::string_view message) {
  tsdb::Exemplar out;
  std::vector<tsdb::LabelView> labels;
  TRY(read_wire_labels(message, labels));  // Labels are field 1 here as well.
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() == 2) {
      if (fields.type() != ProtobufReader::kFixed64)
        return corruption("protobuf: damaged Exemplar");
      out.value = fields.real();
    } else if (fields.field() == 3) {
      if (fields.type() != ProtobufReader::kVarint) return corruption("protobuf: damaged Exemplar");
      out.t = Timestamp{static_cast<std::int64_t>(fields.number())};
    }
  }
  std::size_t length = 0;
  for (const tsdb::LabelView& label : labels) {
    if (!is_valid_utf8(label.name) || !is_valid_utf8(label.value)) {
      return invalid("exemplar labels are not UTF-8");
    }
    length += label.name.size() + label.value.size();
  }
  // The limit counts characters; bytes bound them from above, and the usual ones are ASCII.
  if (length > 4 * 128) return invalid("exemplar labels are longer than 128 characters");
  out.labels = tsdb::Labels::from_views(std::move(labels));
  return out;
}

}  // namespace tarsier::ingest
