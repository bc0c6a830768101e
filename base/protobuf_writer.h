#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tarsier {

/// Appends the fields of one protobuf message to a string, as ProtobufReader takes them apart. A
/// message inside another is written to a string of its own first. Values that are the type's
/// default are written too: whether to leave a field out is the caller's to know.
class ProtobufWriter final {
 public:
  /// Appends to `out`, which must outlive the writer.
  explicit ProtobufWriter(std::string& out) : out_(out) {}

  void varint(std::uint32_t field, std::uint64_t v) {
    tag(field, 0);
    put_uvarint(out_, v);
  }
  /// int32 and int64: negative numbers take ten bytes.
  void integer(std::uint32_t field, std::int64_t v) {
    varint(field, static_cast<std::uint64_t>(v));
  }
  /// sint32 and sint64.
  void zigzag(std::uint32_t field, std::int64_t v) {
    varint(field, (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
  }
  void real(std::uint32_t field, double v) {
    tag(field, 1);
    std::uint64_t bits = std::bit_cast<std::uint64_t>(v);
    for (int i = 0; i < 8; ++i, bits >>= 8) out_ += static_cast<char>(bits & 0xFF);
  }
  /// Strings, bytes and messages.
  void bytes(std::uint32_t field, std::string_view v) {
    tag(field, 2);
    put_uvarint(out_, v.size());
    out_ += v;
  }

 private:
  void tag(std::uint32_t field, std::uint32_t type) {
    put_uvarint(out_, std::uint64_t{field} << 3 | type);
  }
  std::string& out_;
};

}  // namespace tarsier
