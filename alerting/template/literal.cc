#include "alerting/template/literal.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

/// Reads `count` hexadecimal digits of `text` from `at` on.
std::optional<std::uint32_t> hex_digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  std::uint32_t value = 0;
  const char* end = text.data() + at + count;
  const auto [stop, error] = std::from_chars(text.data() + at, end, value, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

void read_integer(std::string_view digits, Node& node) {
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char mark = digits[1];
    base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
    const bool has_mark = base != 8 || mark == 'o' || mark == 'O';
    digits.remove_prefix(has_mark ? 2 : 1);
  }
  std::uint64_t magnitude = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, magnitude, base);
  if (error != std::errc() || stop != end || digits.empty()) return;
  const std::uint64_t limit = (std::uint64_t{1} << 63) - (negative ? 0 : 1);
  if (magnitude > limit) return;
  node.is_integer = true;
  node.integer = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
}

void read_real(std::string_view digits, Node& node) {
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, node.real);
  if (error != std::errc() || stop != end || digits.empty()) return;
  node.is_real = true;
  if (std::fabs(node.real) < 9.2e18 && std::trunc(node.real) == node.real) {
    node.is_integer = true;
    node.integer = static_cast<std::int64_t>(node.real);
  }
}

}  // namespace

Status read_character_constant(const std::string& text, Node& node) {
  const Result<std::string> value = unquote_go(text);
  const std::size_t size = value.ok() ? utf8_sequence_size(*value) : 0;
  if (size == 0 || size != value->size()) {
    return invalid("malformed character constant: " + text);
  }
  const auto first = static_cast<unsigned char>((*value)[0]);
  std::int64_t point = size == 1 ? first : first & (0x7f >> size);
  for (std::size_t i = 1; i < size; ++i) {
    point = point << 6 | (static_cast<unsigned char>((*value)[i]) & 0x3f);
  }
  node.is_integer = node.is_real = true;
  node.integer = point;
  node.real = static_cast<double>(point);
  return {};
}

Status read_number(const std::string& text, Node& node) {
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits += c;
  }
  read_integer(digits, node);
  const bool based = digits.find_first_of("xXoObB") != std::string::npos;
  if (!node.is_integer && !based) read_real(digits, node);
  if (node.is_integer && !node.is_real) {  // What was written as real keeps its sign: -0.0.
    node.is_real = true;
    node.real = static_cast<double>(node.integer);
  }
  if (!node.is_integer && !node.is_real) {
    return invalid("illegal number syntax: " + quote(text));
  }
  const bool looks_whole = text.find_first_of(".eE") == std::string::npos;
  if (!node.is_integer && looks_whole) {
    return invalid("integer overflow: " + quote(text));
  }
  return {};
}

Result<std::string> unquote_go(std::string_view literal) {
  const Status bad = invalid("invalid syntax");
  if (literal.size() < 2 || literal.front() != literal.back()) return bad;
  const char mark = literal.front();
  const std::string_view inner = literal.substr(1, literal.size() - 2);
  std::string out;
  if (mark == '`') {
    for (const char c : inner) {
      if (c != '\r') out += c;
    }
    return out;
  }
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] != '\\') {
      out += inner[i];
      continue;
    }
    if (++i == inner.size()) return bad;
    const char c = inner[i];
    static constexpr std::string_view kNames = "abfnrtv";
    static constexpr std::string_view kValues = "\a\b\f\n\r\t\v";
    if (const std::size_t simple = kNames.find(c); simple != std::string_view::npos) {
      out += kValues[simple];
    } else if (c == '\\' || c == mark) {
      out += c;
    } else if (c == 'x') {
      const auto value = hex_digits(inner, i + 1, 2);
      if (!value) return bad;
      out += static_cast<char>(*value);
      i += 2;
    } else if (c == 'u' || c == 'U') {
      const std::size_t count = c == 'u' ? 4 : 8;
      const auto value = hex_digits(inner, i + 1, count);
      if (!value || !append_utf8(out, *value)) return bad;
      i += count;
    } else if (c >= '0' && c <= '7') {
      if (i + 2 >= inner.size()) return bad;
      int value = 0;
      for (std::size_t k = i; k < i + 3; ++k) {
        if (inner[k] < '0' || inner[k] > '7') return bad;
        value = value * 8 + (inner[k] - '0');
      }
      if (value > 255) return bad;
      out += static_cast<char>(value);
      i += 2;
    } else {
      return bad;
    }
  }
  return out;
}

}  // namespace tarsier::alerting
