#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/regex.h"
#include "tracing/traceql/syntax.h"

namespace tarsier::tracing::traceql {

enum class ValueType : std::uint8_t {
  kNil,
  kBool,
  kInt,
  kFloat,
  kString,
  kDuration,
  kStatus,
  kKind,
  kArray,  ///< Of one attribute with many values, or of many events or links.
};

/// What a field is for one span. 16 bytes; text and elements are borrowed from whoever made it.
class Value final {
 public:
  constexpr Value() = default;
  static constexpr Value of_bool(bool v) { return Value(ValueType::kBool, v ? 1 : 0); }
  static constexpr Value of_int(std::int64_t v) { return Value(ValueType::kInt, v); }
  static constexpr Value of_duration(std::int64_t ns) { return Value(ValueType::kDuration, ns); }
  static constexpr Value of_status(std::int64_t v) { return Value(ValueType::kStatus, v); }
  static constexpr Value of_kind(std::int64_t v) { return Value(ValueType::kKind, v); }
  static constexpr Value of_float(double v) {
    Value out(ValueType::kFloat, 0);
    out.real_ = v;
    return out;
  }
  /// Text beyond 4 GiB does not occur: messages are smaller.
  static constexpr Value of_text(std::string_view v) {
    Value out(ValueType::kString, 0);
    out.text_ = v.data();
    out.size_ = static_cast<std::uint32_t>(v.size());
    return out;
  }
  static constexpr Value of_array(std::span<const Value> v) {
    Value out(ValueType::kArray, 0);
    out.elements_ = v.data();
    out.size_ = static_cast<std::uint32_t>(v.size());
    return out;
  }

  constexpr ValueType type() const { return type_; }
  constexpr bool is_nil() const { return type_ == ValueType::kNil; }
  constexpr bool is_true() const { return type_ == ValueType::kBool && number_ != 0; }
  constexpr bool is_integral() const {
    return type_ == ValueType::kInt || type_ == ValueType::kDuration;
  }
  constexpr bool is_numeric() const { return is_integral() || type_ == ValueType::kFloat; }
  /// REQUIRES: bool, int, duration, status or kind.
  constexpr std::int64_t integer() const { return number_; }
  /// REQUIRES: is_numeric().
  constexpr double number() const {
    return type_ == ValueType::kFloat ? real_ : static_cast<double>(number_);
  }
  /// REQUIRES: kString.
  constexpr std::string_view text() const { return {text_, size_}; }
  /// REQUIRES: kArray.
  constexpr std::span<const Value> elements() const { return {elements_, size_}; }

 private:
  constexpr Value(ValueType type, std::int64_t number) : number_(number), type_(type) {}
  union {
    std::int64_t number_ = 0;
    double real_;
    const char* text_;
    const Value* elements_;
  };
  std::uint32_t size_ = 0;
  ValueType type_ = ValueType::kNil;
};
static_assert(sizeof(Value) == 16);

/// The value of a literal; borrows its text.
Value value_of(const Static& literal);

/// Whether `a op b` holds. nil and values of types that do not fit give false. An array on one side
/// suffices with one element, but for != and !~ all must. REQUIRES: a comparison; for =~ and !~ a
/// `regex`.
bool holds(Op op, Value a, Value b, const Regex* regex);

/// Equal type and content; nil equals nil.
bool is_same(Value a, Value b);
/// A total order over all values, by type and then content; NaN last.
bool is_less(Value a, Value b);
/// What labels and lists show: `error`, `1.5s`, `200`, `nil`.
std::string display(Value value);

}  // namespace tarsier::tracing::traceql
