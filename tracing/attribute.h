#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/protobuf_reader.h"

namespace tarsier::tracing {

/// Objects and lists inside each other in one attribute; deeper ones are damage.
inline constexpr int kAttributeDepthMax = 32;

/// An OTLP AnyValue, borrowed from its wire bytes. Which member counts is told by `kind`.
struct AttributeValue {
  enum class Kind : unsigned char {
    kEmpty,   ///< No member set: neither the empty string nor absent.
    kString,  ///< `bytes`; meant to be UTF-8, not checked.
    kBool,    ///< `integer`, 0 or 1.
    kInt,     ///< `integer`.
    kDouble,  ///< `real`.
    kBytes,   ///< `bytes`.
    kArray,   ///< `bytes` is the wire form: for_each_element().
    kMap,     ///< `bytes` is the wire form: for_each_member().
  };
  Kind kind = Kind::kEmpty;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view bytes;

  bool is_string() const { return kind == Kind::kString; }
  bool is_number() const { return kind == Kind::kInt || kind == Kind::kDouble; }
  /// An integer or double as a double. REQUIRES: is_number().
  double number() const { return kind == Kind::kInt ? static_cast<double>(integer) : real; }
};

/// Reads an AnyValue; false when it is damaged (what is inside a list or map is not looked at).
bool read_value(std::string_view wire, AttributeValue& out);
/// Reads a KeyValue. An absent value is kEmpty.
bool read_attribute(std::string_view wire, std::string_view& key, AttributeValue& value);
/// Whether a KeyValue is whole to its last leaf, and not deeper than kAttributeDepthMax.
bool is_whole_attribute(std::string_view wire);

/// The text of a value, for labels and people: strings as they are, numbers shortest, bytes in
/// base64, lists and maps as JSON. Nothing for kEmpty.
void append_text(const AttributeValue& value, std::string& out);
/// The value as JSON: strings quoted, bytes in base64, kEmpty null.
void append_json(const AttributeValue& value, std::string& out);

namespace attribute_detail {
/// Calls `visit` for each length-delimited field of that number; false at damage. `visit` gives 1
/// to go on, 0 to end the walk early, -1 when the field is damaged.
template <typename Visit>
bool walk(std::string_view message, std::uint32_t field, Visit visit) {
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() != field || fields.type() != ProtobufReader::kBytes) continue;
    switch (visit(fields.bytes())) {
      case -1: return false;
      case 0: return true;
      default: break;
    }
  }
  return fields.ok();
}
/// The same for a `visit` that says whether the field is whole; a field of that number and another
/// type is damage too.
template <typename Visit>
bool walk_strictly(std::string_view message, std::uint32_t field, Visit visit) {
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() != field) continue;
    if (fields.type() != ProtobufReader::kBytes || !visit(fields.bytes())) return false;
  }
  return fields.ok();
}
/// 1: go on, 0: enough.
template <typename Call>
int go_on(Call call) {
  if constexpr (std::is_void_v<std::invoke_result_t<Call>>) {
    call();
    return 1;
  } else {
    return call() ? 1 : 0;
  }
}
}  // namespace attribute_detail

/// Walks the repeated KeyValue `field` of a message in its order, doubles included: by contract
/// keys are unique, and where they are not the first counts. `visit(std::string_view key, const
/// AttributeValue&)` returns nothing, or false to stop. False when the bytes are damaged, which
/// those of a SpanBatch never are.
template <typename Visit>
bool for_each_attribute(std::string_view message, std::uint32_t field, Visit visit) {
  return attribute_detail::walk(message, field, [&](std::string_view wire) {
    std::string_view key;
    AttributeValue value;
    if (!read_attribute(wire, key, value)) return -1;
    return attribute_detail::go_on([&] { return visit(key, value); });
  });
}
template <typename Visit>
bool for_each_resource_attribute(std::string_view resource, Visit visit) {
  return for_each_attribute(resource, 1, visit);
}
template <typename Visit>
bool for_each_scope_attribute(std::string_view scope, Visit visit) {
  return for_each_attribute(scope, 3, visit);
}
template <typename Visit>
bool for_each_span_attribute(std::string_view span, Visit visit) {
  return for_each_attribute(span, 9, visit);
}
template <typename Visit>
bool for_each_event_attribute(std::string_view event, Visit visit) {
  return for_each_attribute(event, 3, visit);
}
template <typename Visit>
bool for_each_link_attribute(std::string_view link, Visit visit) {
  return for_each_attribute(link, 4, visit);
}

/// The elements of a kArray: `visit(const AttributeValue&)`.
template <typename Visit>
bool for_each_element(const AttributeValue& array, Visit visit) {
  return attribute_detail::walk(array.bytes, 1, [&](std::string_view wire) {
    AttributeValue value;
    if (!read_value(wire, value)) return -1;
    return attribute_detail::go_on([&] { return visit(value); });
  });
}
/// The members of a kMap: `visit(std::string_view key, const AttributeValue&)`.
template <typename Visit>
bool for_each_member(const AttributeValue& map, Visit visit) {
  return for_each_attribute(map.bytes, 1, visit);
}

}  // namespace tarsier::tracing
