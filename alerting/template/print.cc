#include "alerting/template/print.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "alerting/template/directive.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string padded(std::string text, const Directive& d, bool zeros_allowed) {
  const std::size_t width = d.width ? static_cast<std::size_t>(*d.width) : 0;
  const std::size_t size = count_characters(text);
  if (size >= width) return text;
  if (d.minus) return text + std::string(width - size, ' ');
  if (!d.zero || !zeros_allowed) return std::string(width - size, ' ') + text;
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-' || text[0] == ' ');
  text.insert(has_sign ? 1 : 0, width - size, '0');
  return text;
}

std::string first_characters(std::string_view text, int count) {
  std::size_t at = 0;
  for (int i = 0; i < count && at < text.size(); ++i) {
    at += std::max<std::size_t>(1, utf8_sequence_size(text.substr(at)));
  }
  return std::string(text.substr(0, at));
}

std::string format_integer(std::int64_t v, const Directive& d, int base, bool upper) {
  const auto magnitude = v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
  char buffer[72];
  std::string digits(buffer, std::to_chars(buffer, buffer + sizeof buffer, magnitude, base).ptr);
  if (upper)
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (d.precision && *d.precision == 0 && v == 0) digits.clear();
  const std::size_t least = d.precision ? static_cast<std::size_t>(*d.precision) : 0;
  if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
  std::string sign = v < 0 ? "-" : d.plus ? "+" : d.space ? " " : "";
  if (d.sharp && base == 16) sign += upper ? "0X" : "0x";
  if (d.sharp && base == 8) sign += "0";
  if (d.sharp && base == 2) sign += "0b";
  return padded(sign + digits, d, !d.precision);
}

/// `0x1.8p+01`
std::string hex_float(double v) {
  char buffer[64];
  std::string text(
      buffer,
      std::to_chars(buffer, buffer + sizeof buffer, std::abs(v), std::chars_format::hex).ptr);
  const std::size_t exponent = text.find('p') + 2;
  if (text.size() - exponent < 2) text.insert(exponent, "0");
  return (std::signbit(v) ? "-0x" : "0x") + text;
}

std::string format_float(double v, const Directive& d, char verb) {
  std::string text;
  if (!std::isfinite(v)) {
    text = std::isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    if (std::isnan(v) && d.plus) text = "+NaN";
    if (v > 0 && !d.plus) text = "+Inf";
    return padded(text, d, false);
  }
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(verb)));
  if (lower == 'x') {
    text = hex_float(v);
  } else if (!d.precision && (lower == 'g' || lower == 'v')) {
    text = short_number(v);
  } else {
    const std::chars_format format = lower == 'e'   ? std::chars_format::scientific
                                     : lower == 'f' ? std::chars_format::fixed
                                                    : std::chars_format::general;
    const int precision = d.precision.value_or(6);
    std::string buffer(400 + static_cast<std::size_t>(precision), '\0');
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), v, format, precision);
    text.assign(buffer.data(), end.ptr);
  }
  if (verb == 'E' || verb == 'G' || verb == 'X') {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  }
  if (text[0] != '-') text.insert(0, d.plus ? "+" : d.space ? " " : "");
  return padded(text, d, true);
}

std::string hex_text(std::string_view text, bool upper, bool spaced) {
  std::string out;
  for (const char c : text) {
    if (spaced && !out.empty()) out += ' ';
    out += fmt::format(fmt::runtime(upper ? "{:02X}" : "{:02x}"), static_cast<unsigned char>(c));
  }
  return out;
}

std::string bad_verb(const Value& value, const Directive& d) {
  if (value.is_none()) return "%!" + d.verb + "(<nil>)";
  return "%!" + d.verb + "(" + std::string(value.type_name()) + "=" + go_text(value) + ")";
}

/// Quoted, with escapes for everything that is not ASCII.
std::string ascii_quoted(std::string_view text) {
  std::string quoted = quote(text);
  std::string out;
  for (std::string_view rest = quoted; !rest.empty();) {
    const std::size_t size = std::max<std::size_t>(1, utf8_sequence_size(rest));
    if (size == 1) {
      out += rest[0];
    } else {
      auto point =
          static_cast<std::uint32_t>(static_cast<unsigned char>(rest[0]) & (0xffu >> (size + 1)));
      for (std::size_t i = 1; i < size; ++i) {
        point = point << 6 | (static_cast<unsigned char>(rest[i]) & 0x3fu);
      }
      out += point < 0x10000 ? fmt::format("\\u{:04x}", point) : fmt::format("\\U{:08x}", point);
    }
    rest.remove_prefix(size);
  }
  return out;
}

std::string format_string(const std::string& text, const Directive& d) {
  const std::string cut = d.precision ? first_characters(text, *d.precision) : text;
  switch (d.verb[0]) {
    case 'v':
    case 's': return padded(d.sharp_v ? quote(text) : cut, d, true);
    case 'q':
      return padded(d.sharp && cut.find('`') == std::string::npos ? "`" + cut + "`"
                    : d.plus                                      ? ascii_quoted(cut)
                                                                  : quote(cut),
                    d, true);
    case 'x': return padded(hex_text(cut, false, d.space), d, true);
    case 'X': return padded(hex_text(cut, true, d.space), d, true);
    default: return bad_verb(Value(text), d);
  }
}

std::string character(std::int64_t point) {
  std::string out;
  if (point < 0 || point > 0x10ffff || !append_utf8(out, static_cast<std::uint32_t>(point))) {
    return "\xef\xbf\xbd";
  }
  return out;
}

std::string quoted_character(std::int64_t point) {
  const std::string c = character(point);
  if (c == "'") return "'\\''";
  if (c == "\"") return "'\"'";
  const std::string quoted = quote(c);
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

std::string format_int(const Value& value, const Directive& d) {
  const std::int64_t v = value.as_int();
  switch (d.verb[0]) {
    case 'v':
    case 'd': return format_integer(v, d, 10, false);
    case 'b': return format_integer(v, d, 2, false);
    case 'o': return format_integer(v, d, 8, false);
    case 'O': return "0o" + format_integer(v, d, 8, false);
    case 'x': return format_integer(v, d, 16, false);
    case 'X': return format_integer(v, d, 16, true);
    case 'c': return padded(character(v), d, true);
    case 'q': return padded(quoted_character(v), d, true);
    case 'U':
      return padded(fmt::format("U+{:04X}{}", static_cast<std::uint64_t>(v),
                                d.sharp ? " '" + character(v) + "'" : ""),
                    d, false);
    default: return bad_verb(value, d);
  }
}

/// The items of a list, map or struct, each formatted with the same directive.
std::string format_items(const Value& value, const Directive& d) {
  std::string out;
  const auto separate = [&] {
    if (!out.empty()) out += d.sharp_v ? ", " : " ";
  };
  const auto wrapped = [&](std::string_view before, char begin, char end) {
    if (!d.sharp_v) return fmt::format("{}{}{}{}", before, begin, out, end);
    return fmt::format("{}{}{{{}}}", value.is_pointer() ? "&" : "", value.type_name(), out);
  };
  switch (value.kind()) {
    case ValueKind::kList:
      for (const Value& item : value.as_list()) {
        separate();
        out += format_value(item, d);
      }
      return wrapped("", '[', ']');
    case ValueKind::kMap:
      for (const auto& [key, item] : value.as_map()) {
        separate();
        out += format_value(Value(key), d) + ":" + format_value(item, d);
      }
      return wrapped("map", '[', ']');
    default: break;
  }
  for (const auto& [name, item] : value.as_fields()) {
    separate();
    if (d.plus_v || d.sharp_v) out += name + ":";
    out += format_value(item, d);
  }
  return wrapped(value.is_pointer() ? "&" : "", '{', '}');
}

const Directive& plain_directive() {
  static const Directive directive = [] {
    Directive d;
    d.verb = "v";
    return d;
  }();
  return directive;
}

}  // namespace

std::string format_value(const Value& value, const Directive& d) {
  const char verb = d.verb[0];
  if (verb == 'T') return padded(std::string(value.type_name()), d, true);
  switch (value.kind()) {
    case ValueKind::kNone:
      return verb == 'v' ? padded("<nil>", d, true) : "%!" + d.verb + "(<nil>)";
    case ValueKind::kBool:
      if (verb != 'v' && verb != 't') return bad_verb(value, d);
      return padded(value.as_bool() ? "true" : "false", d, true);
    case ValueKind::kInt: return format_int(value, d);
    case ValueKind::kFloat:
      if (std::string_view("veEfFgGxX").find(verb) == std::string_view::npos) {
        return bad_verb(value, d);
      }
      return format_float(value.as_float(), d, verb);
    case ValueKind::kString: return format_string(value.as_string(), d);
    case ValueKind::kTime:
    case ValueKind::kDuration: {
      const bool is_time = value.kind() == ValueKind::kTime;
      if (!is_time && verb == 'd') return format_integer(value.as_duration().ns, d, 10, false);
      return format_string(
          is_time ? go_time_text(value.as_time()) : go_duration_text(value.as_duration()), d);
    }
    case ValueKind::kList:
    case ValueKind::kMap:
    case ValueKind::kStruct: return format_items(value, d);
  }
  return "";
}

void print_value(std::string& out, const Value& value) {
  std::string text = value.is_none() ? std::string("<no value>") : go_text(value);
  // An action looks through a pointer once, Printf does not.
  const bool is_pointer = value.kind() == ValueKind::kStruct && value.is_pointer();
  out += is_pointer ? text.substr(1) : text;
}

std::string go_text(const Value& value) { return format_value(value, plain_directive()); }

std::string go_sprint(std::span<const Value> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool strings = values[i].kind() == ValueKind::kString ||
                         (i > 0 && values[i - 1].kind() == ValueKind::kString);
    if (i > 0 && !strings) out += ' ';
    out += go_text(values[i]);
  }
  return out;
}

std::string go_sprintln(std::span<const Value> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ' ';
    out += go_text(values[i]);
  }
  return out + "\n";
}

}  // namespace tarsier::alerting
