#include "query/parse/literal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"
#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::query {

namespace {

bool is_hexadecimal(std::string_view text) {
  return text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

/// Underscores stand between digits, or between the hexadecimal prefix and a digit.
bool has_misplaced_underscore(std::string_view text) {
  const bool hex = is_hexadecimal(text);
  const auto is_digit = [hex](char c) {
    return ('0' <= c && c <= '9') ||
           (hex && std::string_view("abcdefABCDEFxX").find(c) != std::string_view::npos);
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') continue;
    if (i == 0 || i + 1 == text.size()) return true;
    if (!is_digit(text[i - 1]) || !is_digit(text[i + 1])) return true;
  }
  return false;
}

/// The number if `text` is a 64-bit integer in the notation its prefix says.
std::optional<double> parse_integer(std::string_view text) {
  int base = 10;
  if (is_hexadecimal(text)) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return static_cast<double>(value);
}

/// Reads `count` digits from the front of `rest`.
std::uint32_t take_code(std::string_view& rest, std::size_t count, int base) {
  std::uint32_t code = 0;
  const auto result = std::from_chars(rest.data(), rest.data() + count, code, base);
  CHECK(result.ec == std::errc{}, "the lexer checks escapes");
  rest.remove_prefix(count);
  return code;
}

/// Decodes what follows a backslash, removing it from `rest`.
void append_escape(std::string& out, std::string_view& rest) {
  const char c = rest.front();
  if ('0' <= c && c <= '7') {
    out += static_cast<char>(take_code(rest, 3, 8));
    return;
  }
  rest.remove_prefix(1);
  switch (c) {
    case 'a': out += '\a'; return;
    case 'b': out += '\b'; return;
    case 'f': out += '\f'; return;
    case 'n': out += '\n'; return;
    case 'r': out += '\r'; return;
    case 't': out += '\t'; return;
    case 'v': out += '\v'; return;
    case 'x': out += static_cast<char>(take_code(rest, 2, 16)); return;
    case 'u': append_utf8(out, take_code(rest, 4, 16)); return;
    case 'U': append_utf8(out, take_code(rest, 8, 16)); return;
    default: out += c; return;
  }
}

}  // namespace

Result<double> parse_number(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return invalid(
        fmt::format("error parsing number: strconv.ParseFloat: parsing {}: {}", quote(text), why));
  };
  if (has_misplaced_underscore(text)) return refuse("invalid syntax");
  std::string plain;
  for (const char c : text) {
    if (c != '_') plain += c;
  }
  if (const std::optional<double> integer = parse_integer(plain)) return *integer;
  if (is_hexadecimal(plain)) return refuse("invalid syntax");
  double value = 0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (end != plain.data() + plain.size()) return refuse("invalid syntax");
  if (error == std::errc::result_out_of_range) {
    // from_chars says the same of numbers too small, which are zero.
    value = std::strtod(plain.c_str(), nullptr);
    if (std::isinf(value)) return refuse("value out of range");
  }
  if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
  return value;
}

std::string unquote(std::string_view literal) {
  CHECK(literal.size() >= 2 && literal.front() == literal.back());
  const char delimiter = literal.front();
  std::string_view rest = literal.substr(1, literal.size() - 2);
  if (delimiter == '`') return std::string(rest);
  std::string out;
  while (!rest.empty()) {
    const std::size_t plain = std::min(rest.find('\\'), rest.size());
    out += rest.substr(0, plain);
    rest.remove_prefix(plain);
    if (rest.empty()) break;
    rest.remove_prefix(1);
    append_escape(out, rest);
  }
  return out;
}

}  // namespace tarsier::query
