#include "tsdb/wire_messages.h"

#include <bit>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "base/protobuf_writer.h"

namespace tarsier::tsdb {
namespace {

std::string packed(std::span<const double> values) {
  std::string out;
  out.reserve(values.size() * sizeof(double));
  for (const double v : values) {
    const auto bits = std::bit_cast<std::uint64_t>(v);
    char bytes[sizeof bits];
    std::memcpy(bytes, &bits, sizeof bits);  // Little-endian, as the wire.
    out.append(bytes, sizeof bytes);
  }
  return out;
}

std::string packed(std::span<const std::int64_t> values) {
  std::string out;
  for (const std::int64_t v : values) put_uvarint(out, zigzag(v));
  return out;
}

void write_spans(ProtobufWriter& out, std::uint32_t field, std::span<const BucketSpan> spans) {
  for (const BucketSpan& span : spans) {
    std::string message;
    ProtobufWriter writer(message);
    writer.zigzag(1, span.offset);
    writer.varint(2, span.length);
    out.bytes(field, message);
  }
}

template <typename Numbers>
void write_packed(ProtobufWriter& out, std::uint32_t field, const Numbers& values) {
  if (!values.empty()) out.bytes(field, packed(std::span(values)));
}

void write_counts(ProtobufWriter& out, const IntegerHistogram& h) {
  out.varint(1, h.count);
  out.real(3, h.sum);
  out.zigzag(4, h.layout.schema);
  out.real(5, h.layout.zero_threshold);
  out.varint(6, h.zero_count);
  write_spans(out, 8, h.layout.negative_spans);
  write_packed(out, 9, h.negative_deltas);
  write_spans(out, 11, h.layout.positive_spans);
  write_packed(out, 12, h.positive_deltas);
}

void write_counts(ProtobufWriter& out, const FloatHistogram& h) {
  out.real(2, h.count);
  out.real(3, h.sum);
  out.zigzag(4, h.layout.schema);
  out.real(5, h.layout.zero_threshold);
  out.real(7, h.zero_count);
  write_spans(out, 8, h.layout.negative_spans);
  write_packed(out, 10, h.negative_counts);
  write_spans(out, 11, h.layout.positive_spans);
  write_packed(out, 13, h.positive_counts);
}

}  // namespace

void append_wire_labels(std::string& out, std::uint32_t field, const Labels& labels) {
  std::string message;
  for (const LabelView& label : labels) {
    message.clear();
    ProtobufWriter writer(message);
    writer.bytes(1, label.name);
    writer.bytes(2, label.value);
    ProtobufWriter(out).bytes(field, message);
  }
}

void append_wire_sample(std::string& out, Timestamp t, double v) {
  ProtobufWriter writer(out);
  writer.real(1, v);
  writer.integer(2, t.ms);
}

void append_wire_histogram(std::string& out, Timestamp t, const AnyHistogram& histogram) {
  ProtobufWriter writer(out);
  std::visit(
      [&](const auto& h) {
        write_counts(writer, h);
        writer.varint(14, static_cast<std::uint64_t>(h.hint));
        writer.integer(15, t.ms);
        write_packed(writer, 16, h.layout.custom_bounds);
      },
      histogram);
}

}  // namespace tarsier::tsdb
