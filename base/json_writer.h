#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tarsier {

/// Appends JSON to a string as it is told, commas included: `begin_object`, `key("a")`,
/// `value("b")`, `end_object`. Misuse (a value without a key in an object) fails a DCHECK.
/// Invalid UTF-8 in strings is written as U+FFFD. One thread at a time.
class JsonWriter final {
 public:
  /// Appends to `out`, which must outlive the writer.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool v);
  JsonWriter& value(double v);  ///< Shortest form that reads back equal; NaN and Inf become null.
  JsonWriter& value(std::int64_t v);
  JsonWriter& value(std::uint64_t v);
  JsonWriter& value(int v) { return value(static_cast<std::int64_t>(v)); }
  JsonWriter& null();
  /// Writes `json` as it is: a number or literal the caller has formatted.
  JsonWriter& raw(std::string_view json);

  template <typename T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }

 private:
  void separate();

  std::string& out_;
  std::vector<bool> has_items_;  // One per open object or array.
  bool after_key_ = false;
};

/// Appends `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tarsier
