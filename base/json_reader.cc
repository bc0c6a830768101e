#include "base/json_reader.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/utf8.h"

namespace tarsier {
namespace {

constexpr std::array<std::string_view, 6> kKindNames = {"null",     "a boolean", "a number",
                                                        "a string", "an array",  "an object"};

Status wrong_kind(JsonKind got, JsonKind want) {
  return invalid(fmt::format("found {}, want {}", kKindNames[static_cast<std::size_t>(got)],
                             kKindNames[static_cast<std::size_t>(want)]));
}

template <typename T>
Result<T> parse_number(std::string_view text, const char* what) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid(fmt::format("{} is not {}", text, what));
  }
  return number;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Result<bool> JsonValue::as_bool() const {
  if (kind_ != JsonKind::kBool) return wrong_kind(kind_, JsonKind::kBool);
  return text_ == "true";
}

Result<std::int64_t> JsonValue::as_int64() const {
  if (kind_ != JsonKind::kNumber) return wrong_kind(kind_, JsonKind::kNumber);
  return parse_number<std::int64_t>(text_, "a 64-bit integer");
}

Result<std::uint64_t> JsonValue::as_uint64() const {
  if (kind_ != JsonKind::kNumber) return wrong_kind(kind_, JsonKind::kNumber);
  return parse_number<std::uint64_t>(text_, "an unsigned 64-bit integer");
}

Result<double> JsonValue::as_double() const {
  if (kind_ != JsonKind::kNumber) return wrong_kind(kind_, JsonKind::kNumber);
  return parse_number<double>(text_, "a 64-bit float");
}

Result<std::string> JsonValue::as_string() const {
  if (kind_ != JsonKind::kString) return wrong_kind(kind_, JsonKind::kString);
  return text_;
}

const JsonValue* JsonValue::find(std::string_view key) const {
  for (std::size_t i = keys_.size(); i > 0; --i) {
    if (keys_[i - 1] == key) return &items_[i - 1];
  }
  return nullptr;
}

/// Recursive descent; `limits.depth_max` bounds the stack.
class JsonParser final {
 public:
  JsonParser(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  Result<JsonValue> document() {
    JsonValue value;
    TRY(parse(value, 0));
    skip_space();
    if (at_ != text_.size()) return error("text after the document");
    return value;
  }

 private:
  Status error(std::string_view what) const {
    return invalid(fmt::format("JSON, offset {}: {}", at_, what));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool accept(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  Status parse(JsonValue& out, std::size_t depth) {
    if (depth > limits_.depth_max || ++value_count_ > limits_.value_count_max) {
      return limit_exceeded(fmt::format("JSON, offset {}: too deep or too many values", at_));
    }
    skip_space();
    switch (peek()) {
      case '{': return parse_items(out, JsonKind::kObject, '}', depth);
      case '[': return parse_items(out, JsonKind::kArray, ']', depth);
      case '"': out.kind_ = JsonKind::kString; return parse_string(out.text_);
      case 't': return parse_word(out, JsonKind::kBool, "true");
      case 'f': return parse_word(out, JsonKind::kBool, "false");
      case 'n': return parse_word(out, JsonKind::kNull, "null");
      default: return parse_number_text(out);
    }
  }

  Status parse_word(JsonValue& out, JsonKind kind, std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return error("unknown word");
    at_ += word.size();
    out.kind_ = kind;
    out.text_ = word;
    return {};
  }

  Status parse_items(JsonValue& out, JsonKind kind, char closing, std::size_t depth) {
    out.kind_ = kind;
    ++at_;
    skip_space();
    if (accept(closing)) return {};
    do {
      if (kind == JsonKind::kObject) {
        skip_space();
        if (peek() != '"') return error("want a member name");
        TRY(parse_string(out.keys_.emplace_back()));
        skip_space();
        if (!accept(':')) return error("want ':'");
      }
      TRY(parse(out.items_.emplace_back(), depth + 1));
      skip_space();
    } while (accept(','));
    return accept(closing) ? Status() : error(fmt::format("want ',' or '{}'", closing));
  }

  Status parse_number_text(JsonValue& out) {
    const std::size_t begin = at_;
    accept('-');
    if (!accept('0')) {
      if (!is_digit(peek())) return error("want a value");
      while (is_digit(peek())) ++at_;
    }
    if (accept('.')) {
      if (!is_digit(peek())) return error("want a digit after '.'");
      while (is_digit(peek())) ++at_;
    }
    if (accept('e') || accept('E')) {
      if (!accept('+')) accept('-');
      if (!is_digit(peek())) return error("want a digit in the exponent");
      while (is_digit(peek())) ++at_;
    }
    out.kind_ = JsonKind::kNumber;
    out.text_ = text_.substr(begin, at_ - begin);
    return {};
  }

  Status parse_string(std::string& out) {
    const std::size_t begin = ++at_;  // After the quote.
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) return error("control character in a string");
      if (c == '\\') {
        TRY(parse_escape(out));
      } else {
        out += c;
        ++at_;
      }
    }
    if (!is_valid_utf8(text_.substr(begin, at_ - begin))) return error("string is not UTF-8");
    return accept('"') ? Status() : error("string without an end");
  }

  Status parse_escape(std::string& out) {
    ++at_;  // The backslash.
    const char c = peek();
    static constexpr std::string_view kLetters = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
      ++at_;
      std::uint32_t code = TRY(parse_hex4());
      if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
        const std::size_t before = at_;
        at_ += 2;
        const std::uint32_t low = TRY(parse_hex4());
        if (low >= 0xDC00 && low < 0xE000) {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else {
          at_ = before;  // Not its partner: it stands for itself.
        }
      }
      append_utf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
      return {};
    }
    const std::size_t letter = kLetters.find(c);
    if (at_ >= text_.size() || letter == kLetters.npos) return error("unknown escape");
    out += kMeanings[letter];
    ++at_;
    return {};
  }

  Result<std::uint32_t> parse_hex4() {
    const std::string_view digits = text_.substr(at_, 4);
    std::uint32_t code = 0;
    const auto [end, fault] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || fault != std::errc() || end != digits.data() + 4) {
      return error("want four hex digits");
    }
    at_ += 4;
    return code;
  }

  std::string_view text_;
  JsonLimits limits_;
  std::size_t at_ = 0;
  std::size_t value_count_ = 0;
};

Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits) {
  return JsonParser(text, limits).document();
}

}  // namespace tarsier
