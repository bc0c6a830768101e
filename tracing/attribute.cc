#include "tracing/attribute.h"

#include <bit>
#include <cmath>

#include "base/base64.h"
#include "base/json_writer.h"
#include "base/number_text.h"

namespace tarsier::tracing {
namespace {

enum : std::uint32_t {
  kStringField = 1,
  kBoolField = 2,
  kIntField = 3,
  kDoubleField = 4,
  kArrayField = 5,
  kMapField = 6,
  kBytesField = 7,
};

bool is_whole_key_value(std::string_view wire, int depth);

bool is_whole_value(const AttributeValue& value, int depth) {
  using Kind = AttributeValue::Kind;
  if (value.kind != Kind::kArray && value.kind != Kind::kMap) return true;
  if (depth == kAttributeDepthMax) return false;
  return attribute_detail::walk(value.bytes, 1, [&](std::string_view wire) {
    if (value.kind == Kind::kMap) return is_whole_key_value(wire, depth + 1) ? 1 : -1;
    AttributeValue element;
    return read_value(wire, element) && is_whole_value(element, depth + 1) ? 1 : -1;
  });
}

bool is_whole_key_value(std::string_view wire, int depth) {
  std::string_view key;
  AttributeValue value;
  return read_attribute(wire, key, value) && is_whole_value(value, depth);
}

void append_json(const AttributeValue& value, int depth, std::string& out) {
  using Kind = AttributeValue::Kind;
  switch (value.kind) {
    case Kind::kEmpty: out += "null"; return;
    case Kind::kString: append_json_string(out, value.bytes); return;
    case Kind::kBool: out += value.integer != 0 ? "true" : "false"; return;
    case Kind::kInt: out += std::to_string(value.integer); return;
    case Kind::kDouble:
      // JSON has no text for the others: quoted, as proto3 does it.
      if (std::isfinite(value.real)) {
        out += short_number(value.real);
      } else {
        out += std::isnan(value.real) ? "\"NaN\""
               : value.real < 0       ? "\"-Infinity\""
                                      : "\"Infinity\"";
      }
      return;
    case Kind::kBytes: append_json_string(out, encode_base64(value.bytes)); return;
    case Kind::kArray: {
      if (depth > kAttributeDepthMax) return void(out += "null");
      char before = '[';
      for_each_element(value, [&](const AttributeValue& element) {
        out += before;
        before = ',';
        append_json(element, depth + 1, out);
      });
      out += before == '[' ? "[]" : "]";
      return;
    }
    case Kind::kMap: {
      if (depth > kAttributeDepthMax) return void(out += "null");
      char before = '{';
      for_each_member(value, [&](std::string_view key, const AttributeValue& member) {
        out += before;
        before = ',';
        append_json_string(out, key);
        out += ':';
        append_json(member, depth + 1, out);
      });
      out += before == '{' ? "{}" : "}";
      return;
    }
  }
}

}  // namespace

bool read_value(std::string_view wire, AttributeValue& out) {
  using Kind = AttributeValue::Kind;
  out = {};
  ProtobufReader fields(wire);
  while (fields.next()) {
    const bool is_bytes = fields.type() == ProtobufReader::kBytes;
    switch (fields.field()) {
      case kStringField:
      case kArrayField:
      case kMapField:
      case kBytesField:
        if (!is_bytes) return false;
        out.bytes = fields.bytes();
        out.kind = fields.field() == kStringField  ? Kind::kString
                   : fields.field() == kArrayField ? Kind::kArray
                   : fields.field() == kMapField   ? Kind::kMap
                                                   : Kind::kBytes;
        break;
      case kBoolField:
        if (fields.type() != ProtobufReader::kVarint) return false;
        out.kind = Kind::kBool;
        out.integer = fields.number() != 0 ? 1 : 0;
        break;
      case kIntField:
        if (fields.type() != ProtobufReader::kVarint) return false;
        out.kind = Kind::kInt;
        out.integer = static_cast<std::int64_t>(fields.number());
        break;
      case kDoubleField:
        if (fields.type() != ProtobufReader::kFixed64) return false;
        out.kind = Kind::kDouble;
        out.real = fields.real();
        break;
      default: break;  // Members we do not know, and indices into the tables of profiles.
    }
  }
  return fields.ok();
}

bool read_attribute(std::string_view wire, std::string_view& key, AttributeValue& value) {
  key = {};
  value = {};
  ProtobufReader fields(wire);
  while (fields.next()) {
    if (fields.field() != 1 && fields.field() != 2) continue;
    if (fields.type() != ProtobufReader::kBytes) return false;
    if (fields.field() == 1) {
      key = fields.bytes();
    } else if (!read_value(fields.bytes(), value)) {
      return false;
    }
  }
  return fields.ok();
}

bool is_whole_attribute(std::string_view wire) { return is_whole_key_value(wire, 0); }

void append_text(const AttributeValue& value, std::string& out) {
  using Kind = AttributeValue::Kind;
  switch (value.kind) {
    case Kind::kEmpty: return;
    case Kind::kString: out += value.bytes; return;
    case Kind::kDouble: out += short_number(value.real); return;
    case Kind::kBytes: out += encode_base64(value.bytes); return;
    default: append_json(value, out); return;
  }
}

void append_json(const AttributeValue& value, std::string& out) { append_json(value, 0, out); }

}  // namespace tarsier::tracing
