#include "tracing/span_writer.h"

#include <utility>

#include "base/protobuf_writer.h"

namespace tarsier::tracing {
namespace {

void put_fixed64(std::string& out, std::uint32_t field, std::uint64_t v) {
  ProtobufWriter(out).real(field, std::bit_cast<double>(v));
}

void put_fixed32(std::string& out, std::uint32_t field, std::uint32_t v) {
  put_uvarint(out, std::uint64_t{field} << 3 | 5);
  for (int i = 0; i < 4; ++i, v >>= 8) out += static_cast<char>(v & 0xFF);
}

void put_attribute(std::string& out, std::uint32_t field, std::string_view key,
                   std::string_view value) {
  std::string pair;
  pair.reserve(key.size() + value.size() + 12);
  ProtobufWriter writer(pair);
  writer.bytes(1, key);
  writer.bytes(2, value);
  ProtobufWriter(out).bytes(field, pair);
}

void put_id(std::string& out, std::uint32_t field, TraceId id) {
  std::string bytes;
  append_bytes(bytes, id);
  ProtobufWriter(out).bytes(field, bytes);
}

void put_id(std::string& out, std::uint32_t field, SpanId id) {
  std::string bytes;
  append_bytes(bytes, id);
  ProtobufWriter(out).bytes(field, bytes);
}

std::string one_field(std::uint32_t field, std::string_view bytes) {
  std::string out;
  ProtobufWriter(out).bytes(field, bytes);
  return out;
}

}  // namespace

std::string ValueWriter::of(std::string_view text) { return one_field(1, text); }

std::string ValueWriter::of(bool v) {
  std::string out;
  ProtobufWriter(out).varint(2, v ? 1 : 0);
  return out;
}

std::string ValueWriter::of(std::int64_t v) {
  std::string out;
  ProtobufWriter(out).integer(3, v);
  return out;
}

std::string ValueWriter::of(double v) {
  std::string out;
  ProtobufWriter(out).real(4, v);
  return out;
}

std::string ValueWriter::of_bytes(std::string_view bytes) { return one_field(7, bytes); }
std::string ValueWriter::of_array(std::string_view elements) { return one_field(5, elements); }
std::string ValueWriter::of_map(std::string_view members) { return one_field(6, members); }

void ValueWriter::append_array_element(std::string& elements, std::string_view value) {
  ProtobufWriter(elements).bytes(1, value);
}

void ValueWriter::append_map_member(std::string& members, std::string_view key,
                                    std::string_view value) {
  put_attribute(members, 1, key, value);
}

ResourceWriter& ResourceWriter::attribute_wire(std::string_view key, std::string_view value) {
  put_attribute(wire_, 1, key, value);
  return *this;
}

ResourceWriter& ResourceWriter::dropped_attributes(std::uint32_t count) {
  ProtobufWriter(wire_).varint(2, count);
  return *this;
}

ScopeWriter& ScopeWriter::name(std::string_view text) {
  ProtobufWriter(wire_).bytes(1, text);
  return *this;
}

ScopeWriter& ScopeWriter::version(std::string_view text) {
  ProtobufWriter(wire_).bytes(2, text);
  return *this;
}

ScopeWriter& ScopeWriter::attribute_wire(std::string_view key, std::string_view value) {
  put_attribute(wire_, 3, key, value);
  return *this;
}

ScopeWriter& ScopeWriter::dropped_attributes(std::uint32_t count) {
  ProtobufWriter(wire_).varint(4, count);
  return *this;
}

EventWriter::EventWriter(UnixNanos time_ns, std::string_view name) {
  put_fixed64(wire_, 1, time_ns);
  ProtobufWriter(wire_).bytes(2, name);
}

EventWriter& EventWriter::attribute_wire(std::string_view key, std::string_view value) {
  put_attribute(wire_, 3, key, value);
  return *this;
}

EventWriter& EventWriter::dropped_attributes(std::uint32_t count) {
  ProtobufWriter(wire_).varint(4, count);
  return *this;
}

LinkWriter::LinkWriter(TraceId trace_id, SpanId span_id) {
  put_id(wire_, 1, trace_id);
  put_id(wire_, 2, span_id);
}

LinkWriter& LinkWriter::trace_state(std::string_view text) {
  ProtobufWriter(wire_).bytes(3, text);
  return *this;
}

LinkWriter& LinkWriter::flags(std::uint32_t bits) {
  put_fixed32(wire_, 6, bits);
  return *this;
}

LinkWriter& LinkWriter::attribute_wire(std::string_view key, std::string_view value) {
  put_attribute(wire_, 4, key, value);
  return *this;
}

LinkWriter& LinkWriter::dropped_attributes(std::uint32_t count) {
  ProtobufWriter(wire_).varint(5, count);
  return *this;
}

SpanWriter::SpanWriter(TraceId trace_id, SpanId span_id) {
  put_id(wire_, 1, trace_id);
  put_id(wire_, 2, span_id);
}

SpanWriter& SpanWriter::parent(SpanId id) {
  if (id.is_valid()) put_id(wire_, 4, id);
  return *this;
}

SpanWriter& SpanWriter::name(std::string_view text) {
  ProtobufWriter(wire_).bytes(5, text);
  return *this;
}

SpanWriter& SpanWriter::kind(SpanKind kind) {
  ProtobufWriter(wire_).integer(6, static_cast<std::int32_t>(kind));
  return *this;
}

SpanWriter& SpanWriter::times(UnixNanos start_ns, UnixNanos end_ns) {
  put_fixed64(wire_, 7, start_ns);
  put_fixed64(wire_, 8, end_ns);
  return *this;
}

SpanWriter& SpanWriter::status(StatusCode code, std::string_view message) {
  std::string status;
  ProtobufWriter writer(status);
  if (!message.empty()) writer.bytes(2, message);
  if (code != StatusCode::kUnset) writer.integer(3, static_cast<std::int32_t>(code));
  ProtobufWriter(wire_).bytes(15, status);
  return *this;
}

SpanWriter& SpanWriter::trace_state(std::string_view text) {
  ProtobufWriter(wire_).bytes(3, text);
  return *this;
}

SpanWriter& SpanWriter::flags(std::uint32_t bits) {
  put_fixed32(wire_, 16, bits);
  return *this;
}

SpanWriter& SpanWriter::attribute_wire(std::string_view key, std::string_view value) {
  put_attribute(wire_, 9, key, value);
  return *this;
}

SpanWriter& SpanWriter::event(const EventWriter& event) {
  ProtobufWriter(wire_).bytes(11, event.wire());
  return *this;
}

SpanWriter& SpanWriter::link(const LinkWriter& link) {
  ProtobufWriter(wire_).bytes(13, link.wire());
  return *this;
}

SpanWriter& SpanWriter::dropped_attributes(std::uint32_t count) {
  ProtobufWriter(wire_).varint(10, count);
  return *this;
}

SpanWriter& SpanWriter::dropped_events(std::uint32_t count) {
  ProtobufWriter(wire_).varint(12, count);
  return *this;
}

SpanWriter& SpanWriter::dropped_links(std::uint32_t count) {
  ProtobufWriter(wire_).varint(14, count);
  return *this;
}

RequestWriter& RequestWriter::resource(std::string_view wire, std::string_view schema_url) {
  end_resource();
  has_resource_ = true;
  ProtobufWriter writer(resource_);
  if (!wire.empty()) writer.bytes(1, wire);
  if (!schema_url.empty()) writer.bytes(3, schema_url);
  return *this;
}

RequestWriter& RequestWriter::scope(std::string_view wire, std::string_view schema_url) {
  end_scope();
  has_resource_ = has_scope_ = true;
  ProtobufWriter writer(scope_);
  if (!wire.empty()) writer.bytes(1, wire);
  if (!schema_url.empty()) writer.bytes(3, schema_url);
  return *this;
}

RequestWriter& RequestWriter::span(std::string_view wire) {
  has_resource_ = has_scope_ = true;
  ProtobufWriter(scope_).bytes(2, wire);
  return *this;
}

void RequestWriter::end_scope() {
  if (!std::exchange(has_scope_, false)) return;
  ProtobufWriter(resource_).bytes(2, scope_);
  scope_.clear();
}

void RequestWriter::end_resource() {
  end_scope();
  if (!std::exchange(has_resource_, false)) return;
  ProtobufWriter(request_).bytes(1, resource_);
  resource_.clear();
}

std::string RequestWriter::take() {
  end_resource();
  return std::exchange(request_, {});
}

}  // namespace tarsier::tracing
