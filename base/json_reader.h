#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier {

/// How much of a document is taken; beyond it, parsing fails with kLimit.
struct JsonLimits {
  std::size_t depth_max = 64;             ///< Objects and arrays inside each other.
  std::size_t value_count_max = 100'000;  ///< A value takes about 90 bytes beside its text.
};

enum class JsonKind : unsigned char { kNull, kBool, kNumber, kString, kArray, kObject };

/// One value of a parsed JSON document, with everything below it. The `as_` functions are strict:
/// kInvalid naming the kind found when it is another, or when a number does not fit. Immutable
/// after parsing; any number of threads.
class JsonValue final {
 public:
  JsonKind kind() const { return kind_; }
  bool is_null() const { return kind_ == JsonKind::kNull; }

  Result<bool> as_bool() const;
  Result<std::int64_t> as_int64() const;  ///< Only a number without fraction or exponent.
  Result<std::uint64_t> as_uint64() const;
  Result<double> as_double() const;
  Result<std::string> as_string() const;

  /// The elements of an array, or the member values of an object in the order written; else empty.
  const std::vector<JsonValue>& items() const { return items_; }
  /// The member names of an object, parallel to `items()`.
  const std::vector<std::string>& keys() const { return keys_; }
  /// The member of that name (the last one, if written twice), or null when there is none, or this
  /// is no object. Lives as long as this.
  const JsonValue* find(std::string_view key) const;

 private:
  friend class JsonParser;
  JsonKind kind_ = JsonKind::kNull;
  std::string text_;  // A string's contents, a number as written, "true" or "false".
  std::vector<JsonValue> items_;
  std::vector<std::string> keys_;
};

/// Parses one RFC 8259 document: nothing after it but white space. Strings must be UTF-8; a lone
/// surrogate escape becomes U+FFFD. kInvalid names the byte offset.
Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace tarsier
