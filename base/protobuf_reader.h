#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tarsier {

/// Steps through the fields of one protobuf message in the wire format
/// (protobuf.dev/programming-guides/encoding), borrowing its bytes:
///
///   ProtobufReader fields(message);
///   while (fields.next()) {
///     if (fields.is(1, ProtobufReader::kBytes)) name = fields.bytes();
///   }
///   if (!fields.ok()) return corruption(...);
///
/// A field nobody asks about is skipped. Damage (a length past the end, a varint of more than 64
/// bits, field number 0, a group) ends the walk with ok() false. A repeated scalar comes back as
/// often as it is there: the last one counts. One thread at a time.
class ProtobufReader final {
 public:
  enum Type : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  explicit ProtobufReader(std::string_view message)
      : begin_(message.data()), p_(begin_), end_(begin_ + message.size()) {}

  /// Steps to the next field and reads its value. False at the end and at the first damage.
  bool next() {
    if (p_ == end_) return false;
    std::uint64_t tag = 0;
    if (!read_varint(p_, end_, tag) || tag > 0xFFFFFFFF || (tag >> 3) == 0) return fail();
    field_ = static_cast<std::uint32_t>(tag >> 3);
    type_ = static_cast<std::uint8_t>(tag & 7);
    switch (type_) {
      case kVarint: return read_varint(p_, end_, value_) || fail();
      case kFixed64: return take_fixed<std::uint64_t>();
      case kFixed32: return take_fixed<std::uint32_t>();
      case kBytes: {
        std::uint64_t size = 0;
        if (!read_varint(p_, end_, size) || size > static_cast<std::uint64_t>(end_ - p_))
          return fail();
        bytes_ = {p_, static_cast<std::size_t>(size)};
        p_ += size;
        return true;
      }
      default: return fail();  // Groups left the format before any schema we speak.
    }
  }

  bool ok() const { return !failed_; }
  /// Bytes consumed; after damage, near where it was found.
  std::size_t offset() const { return static_cast<std::size_t>(p_ - begin_); }

  std::uint32_t field() const { return field_; }
  std::uint8_t type() const { return type_; }
  /// The value of a varint or fixed field. REQUIRES: that type.
  std::uint64_t number() const { return value_; }
  double real() const {
    double v = 0;
    std::memcpy(&v, &value_, sizeof v);
    return v;
  }
  /// The value of a length-delimited field, borrowed from the message. REQUIRES: that type.
  std::string_view bytes() const { return bytes_; }

  /// Reads a LEB128 number at `p`, moving it behind; false past `end` or beyond 64 bits.
  static bool read_varint(const char*& p, const char* end, std::uint64_t& out) {
    if (p != end && static_cast<signed char>(*p) >= 0) [[likely]] {
      out = static_cast<unsigned char>(*p++);
      return true;
    }
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && p != end; shift += 7) {
      const auto byte = static_cast<unsigned char>(*p++);
      if (shift == 63 && byte > 1) return false;
      v |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        out = v;
        return true;
      }
    }
    return false;
  }

 private:
  bool fail() {
    failed_ = true;
    return false;
  }
  template <typename T>
  bool take_fixed() {
    if (static_cast<std::size_t>(end_ - p_) < sizeof(T)) return fail();
    T v;
    std::memcpy(&v, p_, sizeof v);
    p_ += sizeof v;
    value_ = v;
    return true;
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  std::uint64_t value_ = 0;
  std::string_view bytes_;
  std::uint32_t field_ = 0;
  std::uint8_t type_ = 0;
  bool failed_ = false;
};

}  // namespace tarsier
