#include "alerting/template/print.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/number_text.h"
#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

/// One `%...` of a format: Go's fmt flags.
struct Directive {
  bool plus = false;
  bool minus = false;
  bool sharp = false;
  bool space = false;
  bool zero = false;
  std::optional<int> width;
  std::optional<int> precision;
  std::string verb;  // One character, maybe several bytes.
};

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

std::string format_float(double v, const Directive& d, char verb) {
  std::string text;
  if (!std::isfinite(v)) {
    text = std::isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    if (std::isnan(v) && d.plus) text = "+NaN";
    if (v > 0 && !d.plus) text = "+Inf";
    return padded(text, d, false);
  }
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(verb)));
  if (!d.precision && (lower == 'g' || lower == 'v')) {
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
  if (verb == 'E' || verb == 'G') {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  }
  if (text[0] != '-') text.insert(0, d.plus ? "+" : d.space ? " " : "");
  return padded(text, d, true);
}

std::string hex_text(std::string_view text, bool upper) {
  std::string out;
  for (const char c : text) {
    out += fmt::format(fmt::runtime(upper ? "{:02X}" : "{:02x}"), static_cast<unsigned char>(c));
  }
  return out;
}

std::string format_any(const Value& value, const Directive& d);

std::string bad_verb(const Value& value, const Directive& d) {
  if (value.is_none()) return "%!" + d.verb + "(<nil>)";
  return "%!" + d.verb + "(" + std::string(value.type_name()) + "=" + go_text(value) + ")";
}

std::string format_string(const std::string& text, const Directive& d) {
  const std::string cut = d.precision ? first_characters(text, *d.precision) : text;
  switch (d.verb[0]) {
    case 'v':
    case 's': return padded(d.verb[0] == 'v' && d.sharp ? quote(text) : cut, d, true);
    case 'q':
      return padded(d.sharp && cut.find('`') == std::string::npos ? "`" + cut + "`" : quote(cut), d,
                    true);
    case 'x': return padded(hex_text(cut, false), d, true);
    case 'X': return padded(hex_text(cut, true), d, true);
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
    case 'U': return padded(fmt::format("U+{:04X}", static_cast<std::uint64_t>(v)), d, false);
    default: return bad_verb(value, d);
  }
}

/// The items of a list, map or struct, each formatted with the same directive.
std::string format_items(const Value& value, const Directive& d) {
  std::string out;
  const auto separate = [&] {
    if (!out.empty()) out += ' ';
  };
  switch (value.kind()) {
    case ValueKind::kList:
      for (const Value& item : value.as_list()) {
        separate();
        out += format_any(item, d);
      }
      return "[" + out + "]";
    case ValueKind::kMap:
      for (const auto& [key, item] : value.as_map()) {
        separate();
        out += format_any(Value(key), d) + ":" + format_any(item, d);
      }
      return "map[" + out + "]";
    default: break;
  }
  for (const auto& [name, item] : value.as_fields()) {
    separate();
    if (d.plus) out += name + ":";
    out += format_any(item, d);
  }
  return (value.is_pointer() ? "&{" : "{") + out + "}";
}

std::string format_any(const Value& value, const Directive& d) {
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
      if (std::string_view("veEfFgG").find(verb) == std::string_view::npos) {
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

const Directive& plain_directive() {
  static const Directive directive = [] {
    Directive d;
    d.verb = "v";
    return d;
  }();
  return directive;
}

/// Walks a format and its arguments.
class Formatter final {
 public:
  Formatter(std::string_view format, std::span<const Value> values)
      : format_(format), values_(values) {}

  std::string run() {
    while (at_ < format_.size() && out_.size() < kOutputBytesMax) {
      const std::size_t percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size()) directive();
    }
    if (!reordered_ && next_ < values_.size()) extra();
    return std::move(out_);
  }

 private:
  static constexpr int kNumberMax = 10'000;
  static constexpr std::size_t kOutputBytesMax = std::size_t{4} << 20;  // More is cut.

  char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  std::optional<int> number() {
    std::optional<int> value;
    while (std::isdigit(static_cast<unsigned char>(peek())) != 0) {
      value = std::min(kNumberMax, value.value_or(0) * 10 + (peek() - '0'));
      ++at_;
    }
    return value;
  }

  /// `[2]`: the next operand is the second.
  void argument_index() {
    if (peek() != '[') return;
    const std::size_t end = format_.find(']', at_);
    if (end == std::string_view::npos) return;
    ++at_;
    const std::optional<int> index = number();
    reordered_ = true;
    bad_index_ =
        !index || at_ != end || *index < 1 || static_cast<std::size_t>(*index) > values_.size();
    at_ = end + 1;
    if (!bad_index_) next_ = static_cast<std::size_t>(*index) - 1;
  }

  /// A number, or `*`: an operand.
  std::optional<int> number_or_operand(std::string_view complaint) {
    argument_index();
    if (peek() != '*') return number();
    ++at_;
    if (next_ >= values_.size() || values_[next_].kind() != ValueKind::kInt ||
        std::abs(values_[next_].as_int()) > kNumberMax) {
      if (next_ < values_.size()) ++next_;
      out_ += complaint;
      return std::nullopt;
    }
    return static_cast<int>(values_[next_++].as_int());
  }

  void directive() {
    ++at_;
    Directive d;
    bad_index_ = false;
    for (;; ++at_) {
      const char c = peek();
      if (c == '+') {
        d.plus = true;
      } else if (c == '-') {
        d.minus = true;
      } else if (c == '#') {
        d.sharp = true;
      } else if (c == ' ') {
        d.space = true;
      } else if (c == '0') {
        d.zero = true;
      } else {
        break;
      }
    }
    d.width = number_or_operand("%!(BADWIDTH)");
    if (d.width && *d.width < 0) {
      d.minus = true;
      d.width = -*d.width;
    }
    if (d.minus) d.zero = false;
    if (peek() == '.') {
      ++at_;
      const std::size_t before = at_;
      d.precision = number_or_operand("%!(BADPREC)");
      if (!d.precision && at_ == before) d.precision = 0;
      if (d.precision && *d.precision < 0) d.precision.reset();
    }
    argument_index();
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    const std::size_t size = std::max<std::size_t>(1, utf8_sequence_size(format_.substr(at_)));
    d.verb = std::string(format_.substr(at_, size));
    at_ += size;
    if (d.verb == "%") {
      out_ += '%';
    } else if (bad_index_) {
      out_ += "%!" + d.verb + "(BADINDEX)";
    } else if (next_ >= values_.size()) {
      out_ += "%!" + d.verb + "(MISSING)";
    } else {
      out_ += format_any(values_[next_++], d);
    }
  }

  void extra() {
    out_ += "%!(EXTRA ";
    for (std::size_t i = next_; i < values_.size(); ++i) {
      if (i > next_) out_ += ", ";
      if (values_[i].is_none()) {
        out_ += "<nil>";
      } else {
        out_ += std::string(values_[i].type_name()) + "=" + go_text(values_[i]);
      }
    }
    out_ += ")";
  }

  const std::string_view format_;
  const std::span<const Value> values_;
  std::string out_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool reordered_ = false;
  bool bad_index_ = false;
};

}  // namespace

void print_value(std::string& out, const Value& value) {
  out += value.is_none() ? std::string("<no value>") : go_text(value);
}

std::string go_text(const Value& value) { return format_any(value, plain_directive()); }

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

std::string go_sprintf(std::string_view format, std::span<const Value> values) {
  return Formatter(format, values).run();
}

}  // namespace tarsier::alerting
